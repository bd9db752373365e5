import { FormatError, type Head, StoreError, type TrustedKeys } from '#artifacts';
import type { Logger } from '#platform';
import type { KnownHead } from '../state/state-layout.js';
import type { StateStore } from '../state/state-store.js';
import { StateWriteError } from '../state/writer-port.js';
import { CatchUp, CatchUpError } from './catch-up/index.js';
import { firstDifference } from './fork-search.js';
import type { HeadBook, HeadMemory } from './head-book.js';
import { ForkError, requireStanding } from './own-history.js';
import { RevisionFetcher } from './revision-fetcher.js';
import type { RevisionSource, SourceKind } from './revision-source.js';
import type { SyncEvent } from './sync.js';

export interface PullOptions {
  state: StateStore;
  heads: HeadBook;
  trusted: () => TrustedKeys;
  log: Logger;
  onApplied: (ops: number, seconds: number) => void;
  /** what it said before this process began */
  known: Readonly<KnownHead> | null;
}

type Outcome = SyncEvent | { kind: 'fetched'; revisions: Buffer[] };

/** One source, by its number, and what is remembered of it. Whatever goes wrong is an event. */
export class PullSource {
  readonly #memory: HeadMemory;
  readonly #fetcher: RevisionFetcher;
  readonly #catchUp: CatchUp;
  #etag: string | null = null;
  /** the newest one that it gave and that was accepted */
  #head: Head | null = null;
  #fork: { detail: string; known: string | null } | null = null;

  constructor(
    readonly number: number,
    readonly source: RevisionSource,
    private readonly options: PullOptions,
  ) {
    const { heads, known, log, onApplied, state, trusted } = options;
    // A store has one object; who answers for a master, or another replica, may be several behind one address.
    const isOnePlace = source.kind === 'store';
    this.#memory = { newest: known, freshUntil: known?.expiresAt ?? 0, isOnePlace };
    this.#fetcher = new RevisionFetcher(source);
    const check = (head: Head): void => requireStanding(head, heads);
    this.#catchUp = new CatchUp({ reader: source.reader, state, trusted, check, log, onApplied });
  }

  get kind(): SourceKind {
    return this.source.kind;
  }

  look(signal: AbortSignal): Promise<SyncEvent> {
    return this.#guarded(signal, async () => {
      const { heads, state } = this.options;
      if (this.#isOver) this.#etag = null; // to be judged again
      const answer = await this.source.head(this.#etag, signal);
      if (answer.kind === 'missing') {
        const detail = `${this.source.description} has no head of the environment ${state.position.environment}`;
        return this.#failed('head_missing', detail);
      }
      if (answer.kind === 'head') {
        const verdict = heads.judge(answer.bytes, this.#memory);
        if (!('head' in verdict)) {
          const { code, detail } = verdict;
          const fork = code === 'fork' ? await this.explainFork(detail, signal) : null;
          signal.throwIfAborted(); // before it was explained: it will be the next time
          return { kind: 'head-refused', source: this.number, code, detail: fork ?? detail };
        }
        // Only of a head that was accepted: one that was refused is to be looked at again, and so is one that goes back.
        if (verdict.isNewest) this.#etag = answer.etag;
        if (verdict.isNewest || !this.#head) this.#head = verdict.head;
      }
      // by its own words: that another source is fresh must not hide that this one stands still
      const fresh = Date.now() < this.#memory.freshUntil;
      return { kind: 'head-seen', source: this.number, head: this.#head?.revision ?? 0, fresh };
    });
  }

  /**
   * This one, and those after it that have come by then.
   *
   * @param until the last one that will be asked for
   */
  fetch(revision: number, until: number, signal: AbortSignal): Promise<Outcome> {
    return this.#guarded<Outcome>(signal, async () => {
      const revisions = await this.#fetcher.take(revision, until, signal);
      if (revisions.length > 0) return { kind: 'fetched', revisions };
      return this.#refused(
        'revision_missing',
        `${this.source.description} does not have revision ${revision}, although a head names ${until}`,
      );
    });
  }

  /** By segments or a snapshot, as far as its head names. */
  catchUp(until: number, signal: AbortSignal): Promise<SyncEvent> {
    return this.#guarded(signal, async () => {
      const head = await this.#headOf(until, signal);
      if ('kind' in head) return head;
      const { applied } = await this.#catchUp.run(head, signal);
      return { kind: 'caught-up', source: this.number, revision: applied };
    });
  }

  repair(signal: AbortSignal): Promise<SyncEvent> {
    return this.#guarded(signal, async () => {
      const head = await this.#headOf(this.options.state.position.revision, signal);
      if ('kind' in head) return head;
      const { applied, damaged } = await this.#catchUp.repair(head, signal);
      return { kind: 'repaired', source: this.number, revision: applied, damaged };
    });
  }

  /** What was fetched ahead is fetched again. */
  forget(): void {
    this.#fetcher.forget();
  }

  /** Adds the first revision that differs from the history here; null when there is none, or it cannot be found. */
  async explainFork(detail: string, signal: AbortSignal): Promise<string | null> {
    // searched for once, not for each look
    if (this.#fork?.detail !== detail) {
      const { state, trusted } = this.options;
      const first = await firstDifference(state, this.source, trusted(), signal);
      if (signal.aborted) return null;
      const known = first === null ? null : `${detail}; the first revision that differs is ${first}`;
      this.#fork = { detail, known };
    }
    return this.#fork.known;
  }

  /** Another source has shown a newer term since. */
  get #isOver(): boolean {
    return this.#head !== null && this.#head.epoch < (this.options.heads.newest?.epoch ?? 0);
  }

  /** The head that it has given, or its newest where that is too old. */
  async #headOf(revision: number, signal: AbortSignal): Promise<Head | SyncEvent> {
    if (this.#head && this.#head.revision >= revision && !this.#isOver) return this.#head;
    this.#etag = null;
    const seen = await this.look(signal);
    // asked for the way to it and not for the head: it is the next way that has to wait
    if (seen.kind === 'head-refused') return this.#refused(seen.code, seen.detail);
    if (seen.kind !== 'head-seen' || !this.#head) return seen;
    if (this.#head.revision >= revision || this.#head.revision > this.options.state.position.revision)
      return this.#head;
    const detail = `${this.source.description} has a head that names revision ${this.#head.revision} only`;
    return this.#refused('revision_missing', detail);
  }

  async #guarded<T extends Outcome>(signal: AbortSignal, work: () => Promise<T>): Promise<T | SyncEvent> {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return { kind: 'interrupted', source: this.number };
      const { message } = error as Error;
      if (error instanceof StoreError) return this.#failed(error.code, message);
      if (isRefusal(error)) return this.#refused(error.code, message);
      return this.#failed('source_failed', message);
    }
  }

  #failed(code: string, detail: string): SyncEvent {
    return { kind: 'source-failed', source: this.number, code, detail };
  }

  #refused(code: string, detail: string): SyncEvent {
    return { kind: 'revision-refused', source: this.number, code, detail };
  }
}

function isRefusal(error: unknown): error is Error & { code: string } {
  return [FormatError, CatchUpError, ForkError, StateWriteError].some((kind) => error instanceof kind);
}
