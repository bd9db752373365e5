import { setMaxListeners } from 'node:events';
import { type Head, headName, patientStore } from '#artifacts';
import { type Logger, sleep } from '#platform';
import { Bell } from '../bell.js';
import type { PublishingOptions } from '../options.js';
import { signHead } from '../standing.js';
import { type DeltaContext, putDeltas } from './deltas.js';
import { fillingOf } from './filling.js';
import { isOrphan, type KnownHead } from './orphans.js';
import { revisionsAfter } from './revision-batches.js';
import type { MadeSnapshot } from './snapshot-maker.js';
import { faultOf, Foreign, HeadMoved } from './store-faults.js';
import { GENESIS, HEAD_READ_BYTES, meetHead, type Position, type Rival } from './store-head.js';
import { StoreKeeper } from './store-keeper.js';
import { type LedgerSnapshot, StoreLedger } from './store-ledger.js';
import { STORE_RULES, type StoreRules } from './store-rules.js';
import { StoreNotes, type StoreStanding, type TermOfWriter } from './store-standing.js';

/** A quiet chain's head is signed again this often, so that it can be told from a frozen one. */
const RESIGN_MS = 30_000;
/** Under load a head stands for all revisions of this long: it costs more than a delta does, and readers poll it in seconds. */
const GATHER_MS = 25;

/** signedAt: when it was signed by this writer, on the monotonic clock */
const NO_HEAD = { revision: -1, epoch: 0, signedAt: Number.NEGATIVE_INFINITY };

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
  private target: number;
  /** the deltas up to here are in the store */
  private filled: Position = GENESIS;
  /** head.json as it was met or written last; null: there is none */
  private etag: string | null = null;
  private head = NO_HEAD;
  /** heads that this writer tried to write last: a call that seemed to fail may have come through */
  private wrote: Buffer[] = [];
  /** what was written up to this epoch by another master does not count */
  private discarded = 0;
  /** the snapshot that the next head names, and one that was made since: its revision may not be in the store yet */
  private snapshot: LedgerSnapshot | null = null;
  private made: MadeSnapshot | null = null;
  /** whether the store cannot be filled from where it stands, and has to begin with a snapshot */
  private begins = false;
  private readonly ledger: StoreLedger;
  private readonly keeper: StoreKeeper;
  private readonly notes: StoreNotes;
  private readonly rules: StoreRules;
  /** of the newest thing known to be issued, by whichever clock; heads follow each other by at least a millisecond */
  private issuedAt = 0;

  /** @param onRival told of a head that another master wrote; the writer itself only keeps its hands off */
  constructor(
    private readonly term: TermOfWriter,
    { store, signer, query, databaseUrl, storeRules: rules = STORE_RULES }: PublishingOptions,
    private readonly log: Logger,
    private readonly onRival: (rival: Rival) => void,
  ) {
    this.target = term.revision;
    this.notes = new StoreNotes(log);
    this.standing = { state: 'starting', revision: term.storedRevision, snapshot: null, error: null };
    setMaxListeners(0, this.stopped.signal); // one for each call of the store, and they are bounded
    const { environment } = term;
    this.context = {
      environment,
      store: patientStore(store),
      signer,
      trusted: term.trust.ever,
      query,
      log,
      isOrphan: (revision, epoch) => isOrphan(this.context, term.epoch, this.known, { revision, epoch }),
      signal: this.stopped.signal,
    };
    this.rules = rules;
    this.ledger = new StoreLedger(query, environment, term.epoch);
    const onSnapshot = (made: MadeSnapshot): void => {
      this.made = made;
      this.bell.ring();
    };
    this.keeper = new StoreKeeper(this.context, this.ledger, { databaseUrl, rules, onSnapshot }, log);
  }

  start(): void {
    if (this.running) return;
    this.running = this.run();
    this.keeper.start();
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
    await Promise.all([this.running, this.keeper.stop()]);
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
          this.keeper.advance(this.head.revision, 0);
          if (this.finishing) return;
          due = !(await this.bell.wait(Math.max(0, this.head.signedAt + RESIGN_MS - performance.now())));
          if (!due && !this.finishing) await sleep(GATHER_MS, signal);
        }
      } catch (error) {
        if (signal.aborted) return;
        const wait = this.failed(error as Error, failures++);
        await sleep(wait, signal);
      }
    }
  }

  /** Finds out where to go on. @returns false: another leader writes now, or another master */
  private async meet(): Promise<boolean> {
    const { environment, epoch, trust } = this.term;
    const { store, query, signal } = this.context;
    const object = await store.get(headName(environment), HEAD_READ_BYTES, signal);
    const wrote = (bytes: Buffer): boolean => this.wrote.some((mine) => mine.equals(bytes));
    const meeting = await meetHead(object, { environment, epoch, wrote }, trust, query);
    [this.etag, this.filled, this.head] = [object?.etag ?? null, GENESIS, NO_HEAD];
    this.keeper.met(null, false);
    switch (meeting.kind) {
      case 'successor':
        return false;
      case 'rival':
        // the term ends for it, and whoever ends it says so
        this.standing = { ...this.standing, state: 'conflict', error: meeting.rival.problem };
        this.onRival(meeting.rival);
        return false;
      case 'stranger':
        throw new Foreign(`${store.description} ${headName(environment)}: ${meeting.problem}`);
      case 'discarded':
        this.issuedAt = Math.max(this.issuedAt, meeting.issuedAt);
        this.discarded = meeting.epoch;
        this.log.warn({ epoch: meeting.epoch }, 'the chain in the artifact store was discarded, and is written over');
        await this.resume('lost');
        return true;
      case 'damaged':
        this.log.error({ problem: meeting.problem }, 'the head of the artifact store is damaged, and is written anew');
        await this.resume('doubtful');
        return true;
      case 'missing':
        if (this.standing.revision > 0) this.log.warn('the artifact store has lost its head, and is filled again');
        await this.resume('lost');
        return true;
      case 'ours': {
        const { position, head } = meeting;
        this.head = { ...NO_HEAD, revision: position.revision, epoch: head.epoch };
        this.issuedAt = Math.max(this.issuedAt, head.issuedAt);
        const isOld = position.revision < this.standing.revision;
        if (isOld)
          this.log.warn(
            { head: position.revision, stored: this.standing.revision },
            'the artifact store has an old head; all that it should have is checked',
          );
        else this.filled = position;
        await this.resume(isOld ? 'doubtful' : 'well', head);
        return true;
      }
    }
  }

  /**
   * Finds out which snapshot the next head names, and where to fill from.
   *
   * @param state of what the store should have: all there; to be looked at; gone
   */
  private async resume(state: 'well' | 'doubtful' | 'lost', head?: Head): Promise<void> {
    const { ledger } = this;
    if (state === 'lost') await ledger.lost();
    if (state === 'doubtful') await ledger.segmented(0);
    const { snapshots, deltaFloor } = await ledger.read();
    this.snapshot = snapshots[0] ?? null;
    this.made = null;
    this.begins = false;
    if (state === 'well' && head?.snapshot && head.snapshot.revision > (this.snapshot?.revision ?? 0)) {
      // whoever wrote it had no time left to remember it, or the database went back in time
      this.snapshot = { ...head.snapshot, keyId: Buffer.from(head.keyId, 'hex') };
      await ledger.announced(this.snapshot);
    }
    if (state !== 'well') {
      const { query, environment } = this.context;
      const has = { floor: deltaFloor, snapshot: this.snapshot !== null, anything: state !== 'lost' };
      const filling = await fillingOf(query, environment, has, this.target, this.rules);
      this.begins = filling.begins;
      this.filled = filling.from;
    }
    this.standing = { ...this.standing, snapshot: this.snapshot?.revision ?? null };
    this.keeper.met(this.snapshot, state !== 'well');
  }

  private get known(): KnownHead {
    return { etag: this.etag, revision: this.head.revision, discarded: this.discarded };
  }

  /** @param due whether the head has to be signed again in any case */
  private async catchUp(due: boolean): Promise<void> {
    const { environment, query } = this.context;
    if (this.begins) await this.begin();
    // before anything else: whoever else publishes this chain learns that a newer term has begun
    if (this.filled.revision === this.head.revision && this.head.epoch !== this.term.epoch) await this.writeHead();
    while (this.filled.revision < this.target && !this.stopped.signal.aborted) {
      const batch = await revisionsAfter(query, environment, this.filled.revision);
      const last = batch.at(-1);
      if (!last) throw new Error(`revision ${this.filled.revision + 1} of ${environment} is missing in the database`);
      await putDeltas(this.context, batch);
      const { revision, hash, root } = last;
      this.issuedAt = Math.max(this.issuedAt, last.issuedAt.getTime());
      this.filled = { revision, hash, root };
      // while an old head is checked it stays: a head never goes back, nor behind its snapshot
      if (revision < Math.max(this.head.revision, this.snapshot?.revision ?? 0)) continue;
      await this.writeHead();
      const bytes = batch.reduce((sum, one) => sum + one.bytes.length, 0);
      this.keeper.advance(revision, bytes);
    }
    const { revision, epoch } = this.head;
    const isNew = this.made !== null && this.made.revision <= this.filled.revision;
    if (due || isNew || revision !== this.filled.revision || epoch !== this.term.epoch) await this.writeHead();
  }

  private async begin(): Promise<void> {
    const made = await this.keeper.begin();
    if (!made) throw new Error(`the chain of ${this.term.environment} has no revision to make a snapshot of`);
    await this.ledger.beganAt(made.revision);
    this.issuedAt = Math.max(this.issuedAt, made.issuedAt.getTime());
    this.filled = made;
    this.made = made;
    await this.writeHead();
    this.begins = false;
  }

  private async writeHead(): Promise<void> {
    const { environment, epoch } = this.term;
    const { store, signer, signal } = this.context;
    const { revision } = this.filled;
    const made = this.made && this.made.revision <= revision ? this.made : null;
    const named = made ?? this.snapshot;
    // A clock that was set back, or the slower one of another master, must not make this head look like a replayed one.
    const issuedAt = Math.max(Date.now(), this.issuedAt + 1);
    const signedAt = performance.now();
    const bytes = signHead({ environment, epoch, ...this.filled, snapshot: named }, issuedAt, signer);
    this.wrote = [...this.wrote.slice(-1), bytes];
    const replaced = await store.replace(headName(environment), bytes, this.etag, signal);
    if (replaced.kind === 'conflict') throw new HeadMoved('somebody else wrote head.json since it was read');
    [this.etag, this.issuedAt] = [replaced.etag, issuedAt];
    this.head = { revision, epoch, signedAt };
    this.standing = { ...this.standing, revision, snapshot: named?.revision ?? null };
    if (made) await this.announced(made);
  }

  private async announced(made: MadeSnapshot): Promise<void> {
    [this.snapshot, this.made] = [made, this.made === made ? null : this.made];
    await this.ledger.announced(made);
    this.keeper.announced();
  }

  /** @returns milliseconds to wait */
  private failed(error: Error, failures: number): number {
    const { says, wait } = faultOf(error, failures);
    if (says) this.note(says.state, error.message, says.kind);
    return wait;
  }

  private note(state: 'ok' | 'failing' | 'conflict', error: string | null, kind = error): void {
    this.standing = { ...this.standing, state, error };
    this.notes.tell(this.standing, kind);
  }
}
