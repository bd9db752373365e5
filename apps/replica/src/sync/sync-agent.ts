import { setMaxListeners } from 'node:events';
import { FormatError, type Head, StoreError, type TrustedKeys, verifyHead, verifyRevision } from '#artifacts';
import { jittered, type Logger, sleep } from '#platform';
import type { KnownHead } from '../state/state-layout.js';
import type { StateStore } from '../state/state-store.js';
import { faultOfHead } from './head-fault.js';
import { RevisionFetcher } from './revision-fetcher.js';
import type { RevisionSource } from './revision-source.js';
import { BEGINNING, type Sync, type SyncEffect, type SyncEvent, type SyncFaults, transition } from './sync-machine.js';

export interface SyncAgentOptions {
  state: StateStore;
  source: RevisionSource;
  trusted: TrustedKeys;
  log: Logger;
  pollMs: number;
  /** the head became newer, or was signed again */
  onHead: (head: Readonly<KnownHead>) => void;
  onApplied: (ops: number, seconds: number) => void;
  /** state, revision or fault changed */
  onChange: () => void;
  /** an artifact that was not accepted */
  onRefused: (code: string) => void;
}

const JITTER = 0.1;

/** Does what `transition` says, one thing after the other, and tells it what came of it. */
export class SyncAgent {
  #sync: Sync = BEGINNING;
  #head: Readonly<KnownHead> | null;
  /** the newest head, with the times of the freshest one: what is known does not get older by a clock that was set back */
  #freshest: Readonly<KnownHead> | null;
  #etag: string | null = null;
  #fetched: Buffer | null = null;
  #caughtUp = false;
  readonly #fetcher: RevisionFetcher;

  constructor(private readonly options: SyncAgentOptions) {
    this.#head = options.state.head;
    this.#freshest = this.#head;
    this.#fetcher = new RevisionFetcher(options.source);
  }

  get sync(): Readonly<Sync> {
    return this.#sync;
  }

  get head(): Readonly<KnownHead> | null {
    return this.#freshest;
  }

  /** Follows until the signal fires; a revision that is being applied then is finished first. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { revision } = this.options.state.position;
    setMaxListeners(0, signal); // every call that is under way listens, and there is a fixed number of them
    let event: SyncEvent = { kind: 'booted', revision, head: Math.max(revision, this.#head?.revision ?? 0) };
    while (!signal.aborted) {
      const before = this.#sync;
      const step = transition(before, event, Date.now(), this.options.pollMs);
      this.#sync = step.sync;
      this.#tell(before, step.sync);
      event = await this.#perform(step.effect, signal);
    }
  }

  async #perform(effect: SyncEffect, signal: AbortSignal): Promise<SyncEvent> {
    switch (effect.kind) {
      case 'fetch-head':
        return this.#fromSource(() => this.#fetchHead(signal));
      case 'fetch-revision':
        return this.#fromSource(() => this.#fetchRevision(effect.revision, effect.until, signal));
      case 'apply':
        return this.#apply();
      case 'wait':
        await sleep(jittered(effect.ms, JITTER, Math.random), signal);
        return { kind: 'tick' };
    }
  }

  async #fromSource(work: () => Promise<SyncEvent>): Promise<SyncEvent> {
    try {
      return await work();
    } catch (error) {
      const code = error instanceof StoreError ? error.code : 'source_failed';
      return { kind: 'source-failed', code, detail: (error as Error).message };
    }
  }

  async #fetchHead(signal: AbortSignal): Promise<SyncEvent> {
    const { source, state, trusted } = this.options;
    const { environment } = state.position;
    const answer = await source.head(this.#etag, signal);
    if (answer.kind === 'unchanged') return { kind: 'head-seen', head: this.#head?.revision ?? 0 };
    if (answer.kind === 'missing') {
      return {
        kind: 'source-failed',
        code: 'head_missing',
        detail: `${source.description} has no head of the environment ${environment}`,
      };
    }
    let head: Head;
    try {
      head = verifyHead(answer.bytes, environment, trusted);
    } catch (error) {
      return this.#refusedHead(error instanceof FormatError ? error.code : 'malformed', (error as Error).message);
    }
    const fault = faultOfHead(head, state.position, this.#head);
    if (fault) return this.#refusedHead(fault.code, fault.detail);
    // Only of a head that was accepted: one that was refused is to be looked at again.
    this.#etag = answer.etag;
    this.#learn(head);
    return { kind: 'head-seen', head: head.revision };
  }

  #refusedHead(code: string, detail: string): SyncEvent {
    this.options.onRefused(code);
    return { kind: 'head-refused', code, detail };
  }

  #learn({ epoch, revision, hash, issuedAt, expiresAt }: Head): void {
    const { log, onHead, state } = this.options;
    if (this.#head?.issuedAt === issuedAt && this.#head.hash === hash) return;
    this.#head = { epoch, revision, hash, issuedAt, expiresAt };
    const fresh = this.#freshest && this.#freshest.issuedAt > issuedAt ? this.#freshest : this.#head;
    this.#freshest = { ...this.#head, issuedAt: fresh.issuedAt, expiresAt: fresh.expiresAt };
    try {
      state.saveHead(this.#head);
    } catch (error) {
      // It counts all the same; what is missing is only that a restart would know of it.
      log.warn({ detail: (error as Error).message }, 'the newest head could not be kept on the disk');
    }
    onHead(this.#freshest);
  }

  async #fetchRevision(revision: number, until: number, signal: AbortSignal): Promise<SyncEvent> {
    this.#fetched = await this.#fetcher.take(revision, until, signal);
    if (this.#fetched) return { kind: 'revision-fetched' };
    const detail = `${this.options.source.description} does not have revision ${revision}, although a head names ${until}`;
    return { kind: 'revision-refused', code: 'revision_missing', detail };
  }

  async #apply(): Promise<SyncEvent> {
    const { onApplied, onRefused, state, trusted } = this.options;
    const number = state.position.revision + 1;
    const began = performance.now();
    let ops: number;
    try {
      const bytes = this.#fetched ?? Buffer.alloc(0);
      this.#fetched = null;
      const revision = verifyRevision(bytes, state.chainPosition, trusted);
      const named = this.#head?.revision === number ? this.#head.hash : null;
      if (named !== null && named !== revision.hash.toString('hex')) {
        this.#fetcher.forget();
        return {
          kind: 'revision-refused',
          code: 'fork',
          detail: `revision ${number} does not have the hash ${named} by which the head names it`,
        };
      }
      ops = await state.apply(revision, Date.now());
    } catch (error) {
      this.#fetcher.forget();
      const code = error instanceof FormatError ? error.code : 'state_write_failed';
      if (error instanceof FormatError) onRefused(code);
      return { kind: 'revision-refused', code, detail: `revision ${number}: ${(error as Error).message}` };
    }
    onApplied(ops, (performance.now() - began) / 1000);
    return { kind: 'revision-applied', revision: number };
  }

  #tell(before: Sync, after: Sync): void {
    const { log, onChange } = this.options;
    this.#tellFaults(before.faults, after.faults);
    if (after.state === 'polling' && !this.#caughtUp) {
      this.#caughtUp = true;
      log.info({ revision: after.revision }, 'caught up with the chain');
    }
    if (after.state !== before.state || after.revision !== before.revision || after.faults !== before.faults)
      onChange();
  }

  /** Once for each change, not for each poll. */
  #tellFaults(before: SyncFaults, after: SyncFaults): void {
    const { log } = this.options;
    for (const about of ['source', 'head', 'revision'] as const) {
      const fault = after[about];
      if (before[about]?.code === fault?.code) continue;
      if (fault)
        log.warn(
          { about, code: fault.code, detail: fault.detail },
          'cannot follow the chain; what is loaded goes on serving',
        );
      else log.info({ about, revision: this.#sync.revision }, 'following the chain again');
    }
  }
}
