import { setMaxListeners } from 'node:events';
import { FormatError, type TrustedKeys } from '#artifacts';
import { deferred, type Logger } from '#platform';
import type { KnownHead } from '../state/state-layout.js';
import type { Applied, StateStore } from '../state/state-store.js';
import { untilEither } from './either-signal.js';
import { HeadBook } from './head-book.js';
import { ForkError } from './own-history.js';
import { PullSource } from './pull-source.js';
import type { RevisionSource } from './revision-source.js';
import { RunState, steadyNow } from './run-state.js';
import { SCRUB, scrubNowAndThen, type ScrubTimes } from './scrubbing.js';
import type { StreamClient } from './stream/stream-client.js';
import { StreamIntake } from './stream/stream-intake.js';
import { BEGINNING, type Origin, type Sync, type SyncEffect, type SyncEvent, type SyncTimes } from './sync.js';
import { isOfRetiredKey, transition } from './sync-machine.js';
import { SyncTeller } from './sync-teller.js';
import { verifyTogether } from './together.js';

type FetchRevision = Extract<SyncEffect, { kind: 'fetch-revision' }>;

/** For so long what is damaged is fetched while revisions wait. */
const MEND_MS = 30_000;

export interface SyncAgentOptions extends SyncTimes {
  state: StateStore;
  /** in the order in which they are asked */
  sources: readonly RevisionSource[];
  /** null: there is no master to stream from */
  stream: StreamClient | null;
  trusted: () => TrustedKeys;
  log: Logger;
  /** default: after ten minutes, and then every six hours */
  scrub?: ScrubTimes;
  /** the head became newer, or was signed again */
  onHead: (head: Readonly<KnownHead>) => void;
  onApplied: (ops: number, seconds: number) => void;
  /** state, revision or fault changed */
  onChange: () => void;
  /** an artifact that was not accepted */
  onRefused: (code: string) => void;
}

/** Does what `transition` says, one thing after the other, and tells it what came of it. */
export class SyncAgent {
  readonly heads: HeadBook;
  #sync: Sync = BEGINNING;
  /** the revisions that lie ready to be applied, one after the other */
  #hand: { revisions: Buffer[]; from: Origin } | null = null;
  readonly #teller: SyncTeller;
  readonly #sources: readonly PullSource[];
  readonly #intake: StreamIntake | null;
  /** what the stream has brought meanwhile */
  readonly #news: SyncEvent[] = [];
  /** that there is some, and that it brings revisions */
  #woken = deferred<void>();
  #streams = deferred<void>();

  constructor(private readonly options: SyncAgentOptions) {
    const { log, onApplied, onChange, onHead, sources, state, stream, trusted } = options;
    const heads = new HeadBook({ state, trusted, log, onHead });
    this.heads = heads;
    // Where there is only one source, what was known before came from it, and it must not go back behind that.
    const known = sources.length === 1 && !stream ? state.head : null;
    const pull = { state, heads, trusted, log, onApplied, known };
    this.#sources = sources.map((source, number) => new PullSource(number, source, pull));
    const changed = (): void => {
      onChange();
      stream?.changed();
    };
    this.#teller = new SyncTeller({ sources, log, onChange: changed });
    this.#intake = stream && new StreamIntake(stream, heads, (event) => this.#hear(event));
  }

  get sync(): Readonly<Sync> {
    return this.#sync;
  }

  /** where revisions come from now, as a status calls it */
  get source(): 'stream' | 'store' | 'peer' | 'none' {
    if (this.#sync.stream.link === 'following') return 'stream';
    return this.#sources[this.#sync.sources.findIndex(({ answers }) => answers)]?.kind ?? 'none';
  }

  /** Follows until the signal fires; a revision that is being applied then is finished first. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { revision } = this.options.state.position;
    setMaxListeners(0, signal); // every call that is under way listens, and there is a fixed number of them
    const head = Math.max(revision, this.heads.newest?.revision ?? 0);
    signal.addEventListener('abort', () => this.#woken.resolve(), { once: true });
    const streaming = this.options.stream?.run();
    const scrubbing = this.#scrub(signal);
    let event: SyncEvent = {
      kind: 'booted',
      revision,
      head,
      sources: this.#sources.length,
      streams: this.#intake !== null,
    };
    while (!signal.aborted) {
      let effect = this.#step(event);
      for (const news of this.#news.splice(0)) effect = this.#step(news);
      this.#woken = deferred();
      this.#streams = deferred();
      event = await this.#perform(effect, signal);
    }
    await Promise.all([streaming, scrubbing]);
  }

  #scrub(signal: AbortSignal): Promise<void> {
    const { log, scrub: times = SCRUB, state } = this.options;
    const onDamage = (buckets: number): void => this.#hear({ kind: 'damage-found', buckets });
    const running = new RunState(signal, { baseMs: times.everyMs, maxMs: times.everyMs });
    return scrubNowAndThen({ state, times, log, onDamage }, running);
  }

  #step(event: SyncEvent): SyncEffect {
    const before = this.#sync;
    const { revision } = this.options.state.position;
    const step = transition(before, event, { now: steadyNow(), random: Math.random(), revision }, this.options);
    this.#sync = step.sync;
    if (event.kind === 'revision-refused' && isOfRetiredKey({ ...before, revision }, event))
      this.options.log.info(
        { detail: event.detail },
        'a first revision is signed by a key that is not trusted, as after a rotation; a snapshot is looked for',
      );
    else if (isRefusal(event)) this.options.onRefused(event.code);
    this.#teller.tell(before, step.sync);
    return step.effect;
  }

  #hear(event: SyncEvent): void {
    const last = this.#news.at(-1);
    if (event.kind === 'stream-pushed' && last?.kind === 'stream-pushed') this.#news[this.#news.length - 1] = event;
    else this.#news.push(event);
    if (event.kind === 'stream-pushed' || event.kind === 'stream-intent') this.#streams.resolve();
    this.#woken.resolve();
  }

  async #perform(effect: SyncEffect, signal: AbortSignal): Promise<SyncEvent> {
    switch (effect.kind) {
      case 'fetch-head':
        return this.#unlessStreaming(signal, (ends) => this.#look(effect.source, ends));
      case 'fetch-revision':
        return this.#unlessStreaming(signal, (ends) => this.#fetch(effect, ends));
      case 'catch-up':
        return this.#at(effect.source).catchUp(effect.until, signal);
      case 'repair':
        return this.#at(effect.source).repair(signal);
      case 'mend':
        return this.#mend(effect.source, signal);
      case 'take-pushed':
        return this.#takePushed();
      case 'apply':
        return this.#apply(signal);
      case 'refollow':
        return { kind: 'refollowed', revision: this.#intake?.follow() ?? 0 };
      case 'drop-stream':
        this.#intake?.drop(effect.code, effect.detail, effect.holdMs);
        return { kind: 'stream-down', code: effect.code, detail: effect.detail };
      case 'wait': {
        // no AbortSignal: each that fires costs an error with its stack, and this one fires with every revision
        const woken = this.#woken;
        const timer = setTimeout(() => woken.resolve(), effect.ms);
        await woken.promise;
        clearTimeout(timer);
        return { kind: 'tick' };
      }
    }
  }

  /** A slow source must not hold up what the stream brings: then it is asked again later. */
  async #unlessStreaming(signal: AbortSignal, work: (ends: AbortSignal) => Promise<SyncEvent>): Promise<SyncEvent> {
    const ends = new AbortController();
    void this.#streams.promise.then(() => ends.abort());
    return untilEither(signal, ends, () => work(ends.signal));
  }

  async #look(source: number, signal: AbortSignal): Promise<SyncEvent> {
    const event = await this.#at(source).look(signal);
    const older = this.#intake?.refuseOlder();
    if (older) this.#hear(older);
    return event;
  }

  async #fetch({ revision, source, until: last }: FetchRevision, signal: AbortSignal): Promise<SyncEvent> {
    const outcome = await this.#at(source).fetch(revision, last, signal);
    if (outcome.kind !== 'fetched') return outcome;
    const { revisions } = outcome;
    this.#hand = { revisions, from: source };
    return { kind: 'revision-fetched', source, revisions: revisions.length };
  }

  async #mend(source: number, signal: AbortSignal): Promise<SyncEvent> {
    const ends = new AbortController();
    const timer = setTimeout(() => ends.abort(), MEND_MS);
    const outcome = await untilEither(signal, ends, () => this.#at(source).repair(ends.signal));
    clearTimeout(timer);
    if (outcome.kind === 'repaired') return { kind: 'mended', source, revision: outcome.revision };
    const late = { code: 'source_failed', detail: `it was not done in ${MEND_MS / 1000} s` };
    const { code, detail } = 'code' in outcome ? outcome : late;
    return { kind: 'mend-failed', code, detail };
  }

  #takePushed(): SyncEvent {
    const revisions = this.#intake?.take() ?? [];
    if (revisions.length === 0) return { kind: 'stream-pushed', waiting: 0 };
    this.#hand = { revisions, from: 'stream' };
    return { kind: 'revision-fetched', source: 'stream', revisions: revisions.length };
  }

  async #apply(signal: AbortSignal): Promise<SyncEvent> {
    const { onApplied, state, trusted } = this.options;
    const { from, revisions } = this.#hand ?? { revisions: [], from: 0 };
    const number = state.position.revision + 1;
    const began = performance.now();
    let applied: Applied;
    try {
      const verified = verifyTogether(revisions, state.chainPosition, trusted(), this.heads);
      applied = await state.applyTogether(verified, Date.now());
    } catch (error) {
      const detail = `revision ${number}: ${(error as Error).message}`;
      if (!(error instanceof FormatError || error instanceof ForkError)) return this.#writeFailed(from, number, detail);
      this.#hand = null;
      return this.#refused(from, error, detail, signal);
    }
    const left = revisions.slice(applied.revisions);
    this.#hand = left.length > 0 ? { revisions: left, from } : null;
    onApplied(applied.ops, (performance.now() - began) / 1000);
    return { kind: 'revision-applied', revision: number + applied.revisions - 1, left: left.length };
  }

  /** Its answer alone may be lost. */
  #writeFailed(from: Origin, number: number, detail: string): SyncEvent {
    const { onApplied, state } = this.options;
    const { revision } = state.position;
    if (revision < number) return { kind: 'revision-refused', source: from, code: 'state_write_failed', detail };
    const left = (this.#hand?.revisions ?? []).slice(revision - number + 1);
    this.#hand = left.length > 0 ? { revisions: left, from } : null;
    onApplied(0, 0);
    return { kind: 'revision-applied', revision, left: left.length };
  }

  async #refused(
    from: Origin,
    error: FormatError | ForkError,
    detail: string,
    signal: AbortSignal,
  ): Promise<SyncEvent> {
    const { code } = error;
    const decided = error instanceof ForkError && error.decided;
    if (from === 'stream') return { kind: 'revision-refused', source: from, code, detail };
    const source = this.#at(from);
    source.forget();
    // What does not continue this history may belong to another one.
    const fork = code === 'wrong_previous' ? await source.explainFork(detail, signal) : null;
    if (fork === null) return { kind: 'revision-refused', source: from, code, detail, decided };
    return { kind: 'revision-refused', source: from, code: 'fork', detail: fork };
  }

  #at(source: number): PullSource {
    return this.#sources[source] as PullSource; // the machine knows how many there are
  }
}

function isRefusal(event: SyncEvent): event is Extract<SyncEvent, { code: string }> {
  return REFUSES.has(event.kind) && 'code' in event && !NOT_WRONG.has(event.code);
}
const REFUSES: ReadonlySet<SyncEvent['kind']> = new Set(['stream-refused', 'head-refused', 'revision-refused']);
/** what is not there yet, of a master that says so itself, or not taken by this disk, is not wrong */
const NOT_WRONG: ReadonlySet<string> = new Set([
  'revision_missing',
  'head_outdated',
  'master_behind',
  'state_write_failed',
]);
