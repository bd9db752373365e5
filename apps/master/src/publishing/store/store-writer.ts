import { setMaxListeners } from 'node:events';
import { headName, sealHead, StoreError, TrustedKeys } from '#artifacts';
import { backoffMs, type Logger, sleep } from '#platform';
import { Bell } from '../bell.js';
import type { PublishingOptions } from '../options.js';
import { type DeltaContext, ForeignDelta, putDeltas } from './deltas.js';
import { revisionsAfter } from './revision-batches.js';
import { GENESIS, meetHead, type Position } from './store-head.js';

/** A quiet chain's head is signed again this often, so that it can be told from a frozen one. */
const RESIGN_MS = 30_000;
const FRESH_MS = 90_000;
const RETRY_MS = { first: 200, most: 15_000 };
/** How often a store that belongs to somebody else is looked at, in case that was mended. */
const LOOK_AGAIN_MS = 30_000;
/** A head is smaller; what is larger is read far enough to be called damaged. */
const HEAD_READ_BYTES = 65_536;

export interface StoreStanding {
  /** `conflict`: the store holds another chain, or a newer one; nothing is written to it */
  state: 'starting' | 'ok' | 'failing' | 'conflict';
  /** the head of the store names this revision, and every delta up to it was seen to be there */
  revision: number;
  error: string | null;
}

/** Somebody wrote the head since it was read: perhaps ourselves, in a call that seemed to fail. */
class HeadMoved extends Error {}
class Foreign extends Error {}

/** signedAt: when it was signed by this writer, on the monotonic clock */
const NO_HEAD = { revision: -1, epoch: 0, signedAt: Number.NEGATIVE_INFINITY };

/** What the writer needs to know of the term that it works for. */
interface TermOfWriter {
  readonly environment: string;
  readonly epoch: number;
  readonly revision: number;
  readonly storedRevision: number;
}

/**
 * Brings one chain into the artifact store, beside the publisher and never in its way: everything is read from
 * PostgreSQL, so a store that was away for long costs no memory, and one that was emptied is filled again.
 *
 *   meet head.json ──▶ deltas and releases after it ──▶ head.json, if it is still the one that was met ──▶ wait
 *        ▲                         │ any error                     │ conflict
 *        └───────── backoff ◀──────┴───────────────────────────────┘
 */
export class StoreWriter {
  standing: StoreStanding;
  private readonly bell = new Bell();
  private readonly stopped = new AbortController();
  private readonly context: DeltaContext;
  private running: Promise<void> | undefined;
  private finishing = false;
  private noted = '';
  private target: number;
  /** the deltas up to here are in the store */
  private filled: Position = GENESIS;
  /** head.json as it was met or written last; null: there is none */
  private etag: string | null = null;
  private head = NO_HEAD;
  /** of the newest thing known to be issued, by whichever clock; heads follow each other by at least a millisecond */
  private issuedAt = 0;

  constructor(
    private readonly term: TermOfWriter,
    { store, signer, query }: PublishingOptions,
    private readonly log: Logger,
  ) {
    this.target = term.revision;
    this.standing = { state: 'starting', revision: term.storedRevision, error: null };
    const trusted = new TrustedKeys([signer.publicKey]);
    setMaxListeners(0, this.stopped.signal); // one for each call of the store, and they are bounded
    this.context = { environment: term.environment, store, signer, trusted, query, log, signal: this.stopped.signal };
  }

  start(): void {
    this.running ??= this.run();
  }

  /** The chain has a new revision. */
  advance(revision: number): void {
    this.target = revision;
    this.bell.ring();
  }

  /** Goes on until the store has everything, if it is well, but no longer than `ms`. */
  async stop(ms: number): Promise<void> {
    this.finishing = true;
    this.bell.ring();
    const { state } = this.standing;
    if (ms > 0 && (state === 'ok' || state === 'starting')) {
      const waited = new AbortController();
      await Promise.race([this.running, sleep(ms, waited.signal)]);
      waited.abort();
    }
    this.stopped.abort(new Error('the publisher stops'));
    this.bell.ring();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopped;
    for (let failures = 0; !signal.aborted && !(this.finishing && failures > 0); ) {
      try {
        if (!(await this.meet())) return;
        for (let due = false; !signal.aborted; ) {
          await this.catchUp(due);
          failures = 0;
          this.note('ok', null);
          if (this.finishing) return;
          due = !(await this.bell.wait(Math.max(0, this.head.signedAt + RESIGN_MS - performance.now())));
        }
      } catch (error) {
        if (signal.aborted) return;
        const wait = this.failed(error as Error, failures++);
        await sleep(wait, signal);
      }
    }
  }

  /** Finds out where to go on. @returns false: another leader writes now */
  private async meet(): Promise<boolean> {
    const { environment, epoch } = this.term;
    const { store, trusted, query, signal } = this.context;
    const object = await store.get(headName(environment), HEAD_READ_BYTES, signal);
    const meeting = await meetHead(object, environment, epoch, trusted, query);
    this.etag = object?.etag ?? null;
    this.filled = GENESIS;
    this.head = NO_HEAD;
    switch (meeting.kind) {
      case 'successor':
        return false;
      case 'foreign':
        throw new Foreign(`${store.description} ${headName(environment)}: ${meeting.problem}`);
      case 'damaged':
        this.log.error({ problem: meeting.problem }, 'the head of the artifact store is damaged, and is written anew');
        return true;
      case 'missing':
        if (this.standing.revision > 0) this.log.warn('the artifact store has lost its head, and is filled again');
        return true;
      case 'ours': {
        const { position } = meeting;
        this.head = { ...NO_HEAD, revision: position.revision, epoch: meeting.epoch };
        this.issuedAt = Math.max(this.issuedAt, meeting.issuedAt);
        if (position.revision >= this.standing.revision) this.filled = position;
        else
          this.log.warn(
            { head: position.revision, stored: this.standing.revision },
            'the artifact store has an old head; all that it should have is checked',
          );
        return true;
      }
    }
  }

  /** @param due whether the head has to be signed again in any case */
  private async catchUp(due: boolean): Promise<void> {
    const { environment, query } = this.context;
    while (this.filled.revision < this.target && !this.stopped.signal.aborted) {
      const batch = await revisionsAfter(query, environment, this.filled.revision);
      const last = batch.at(-1);
      if (!last) throw new Error(`revision ${this.filled.revision + 1} of ${environment} is missing in the database`);
      await putDeltas(this.context, batch);
      const { revision, hash, root, issuedAt } = last;
      this.issuedAt = Math.max(this.issuedAt, issuedAt.getTime());
      this.filled = { revision, hash, root };
      // while an old head is checked it stays: a head never goes back
      if (revision >= this.head.revision) await this.writeHead();
    }
    const { revision, epoch } = this.head;
    if (due || revision !== this.filled.revision || epoch !== this.term.epoch) await this.writeHead();
  }

  private async writeHead(): Promise<void> {
    const { environment, epoch } = this.term;
    const { store, signer, signal } = this.context;
    const { revision, hash, root } = this.filled;
    // A clock that was set back, or the slower one of another master, must not make this head look like a replayed one.
    const issuedAt = Math.max(Date.now(), this.issuedAt + 1);
    const signedAt = performance.now();
    const bytes = sealHead(
      {
        environment,
        epoch,
        revision,
        hash: hash.toString('hex'),
        root: root.toString('hex'),
        issuedAt,
        expiresAt: issuedAt + FRESH_MS,
      },
      signer,
    );
    const replaced = await store.replace(headName(environment), bytes, this.etag, signal);
    if (replaced.kind === 'conflict') throw new HeadMoved('somebody else wrote head.json since it was read');
    this.etag = replaced.etag;
    this.issuedAt = issuedAt;
    this.head = { revision, epoch, signedAt };
    this.standing = { ...this.standing, revision };
  }

  /** @returns milliseconds to wait */
  private failed(error: Error, failures: number): number {
    if (error instanceof Foreign || error instanceof ForeignDelta) {
      this.note('conflict', error.message);
      return LOOK_AGAIN_MS;
    }
    if (error instanceof HeadMoved && failures === 0) return 0;
    this.note('failing', error.message, error instanceof StoreError ? error.code : error.message);
    return backoffMs(failures, RETRY_MS.first, RETRY_MS.most, Math.random);
  }

  /** Says it once per change. @param kind what counts as a change: the text of an error names another object each time */
  private note(state: 'ok' | 'failing' | 'conflict', error: string | null, kind = error): void {
    this.standing = { ...this.standing, state, error };
    if (this.noted === `${state} ${kind}`) return;
    this.noted = `${state} ${kind}`;
    if (state === 'ok') this.log.info({ revision: this.standing.revision }, 'the artifact store has the chain');
    else if (state === 'failing')
      this.log.warn(
        { cause: error },
        'the artifact store falls behind; publishing goes on, and the store is filled later',
      );
    else
      this.log.error(
        { cause: error },
        'the artifact store holds another chain; nothing is written to it until somebody decides which one holds',
      );
  }
}
