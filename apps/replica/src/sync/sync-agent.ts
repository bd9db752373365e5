import { setMaxListeners } from 'node:events';
import { FormatError, type TrustedKeys, type VerifiedRevision, verifyRevision } from '#artifacts';
import { deferred, type Logger, sleep } from '#platform';
import type { KnownHead } from '../state/state-layout.js';
import type { StateStore } from '../state/state-store.js';
import { HeadBook } from './head-book.js';
import { PullSource } from './pull-source.js';
import type { RevisionSource } from './revision-source.js';
import { steadyNow } from './run-state.js';
import type { StreamClient } from './stream/stream-client.js';
import { StreamIntake } from './stream/stream-intake.js';
import {
  BEGINNING,
  type FaultKey,
  type Origin,
  type Sync,
  type SyncEffect,
  type SyncEvent,
  type SyncTimes,
} from './sync.js';
import { transition } from './sync-machine.js';

type FetchRevision = Extract<SyncEffect, { kind: 'fetch-revision' }>;

export interface SyncAgentOptions extends SyncTimes {
  state: StateStore;
  /** in the order in which they are asked */
  sources: readonly RevisionSource[];
  /** null: there is no master to stream from */
  stream: StreamClient | null;
  trusted: () => TrustedKeys;
  log: Logger;
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
  /** the revision that lies ready to be applied */
  #hand: { bytes: Buffer; from: Origin } | null = null;
  #caughtUp = false;
  readonly #sources: readonly PullSource[];
  readonly #intake: StreamIntake | null;
  /** what the stream has brought meanwhile */
  readonly #news: SyncEvent[] = [];
  /** that there is some, and that it brings revisions */
  #woken = deferred<void>();
  #streams = deferred<void>();

  constructor(private readonly options: SyncAgentOptions) {
    const { log, onApplied, onHead, sources, state, stream, trusted } = options;
    const heads = new HeadBook({ state, trusted, log, onHead });
    this.heads = heads;
    // Where there is only one source, what was known before came from it, and it must not go back behind that.
    const known = sources.length === 1 && !stream ? state.head : null;
    const pull = { state, heads, trusted, log, onApplied, known };
    this.#sources = sources.map((source, number) => new PullSource(number, source, pull));
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
    const streaming = this.options.stream?.run();
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
    await streaming;
  }

  #step(event: SyncEvent): SyncEffect {
    const before = this.#sync;
    const step = transition(before, event, { now: steadyNow(), random: Math.random() }, this.options);
    this.#sync = step.sync;
    if (isRefusal(event)) this.options.onRefused(event.code);
    this.#tell(before, step.sync);
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
        const ends = new AbortController();
        void this.#woken.promise.then(() => ends.abort());
        await until(signal, ends, () => sleep(effect.ms, ends.signal));
        return { kind: 'tick' };
      }
    }
  }

  /** A slow source must not hold up what the stream brings: then it is asked again later. */
  async #unlessStreaming(signal: AbortSignal, work: (ends: AbortSignal) => Promise<SyncEvent>): Promise<SyncEvent> {
    const ends = new AbortController();
    void this.#streams.promise.then(() => ends.abort());
    return until(signal, ends, () => work(ends.signal));
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
    this.#hand = { bytes: outcome.bytes, from: source };
    return { kind: 'revision-fetched', source };
  }

  #takePushed(): SyncEvent {
    const bytes = this.#intake?.take();
    if (!bytes) return { kind: 'stream-pushed', waiting: 0 };
    this.#hand = { bytes, from: 'stream' };
    return { kind: 'revision-fetched', source: 'stream' };
  }

  async #apply(signal: AbortSignal): Promise<SyncEvent> {
    const { onApplied, state, stream, trusted } = this.options;
    const { bytes, from } = this.#hand ?? { bytes: Buffer.alloc(0), from: 0 };
    const number = state.position.revision + 1;
    const began = performance.now();
    let ops: number;
    try {
      const revision = verifyRevision(bytes, state.chainPosition, trusted());
      this.#requireOwnHistory(revision);
      ops = await state.apply(revision, Date.now());
    } catch (error) {
      const detail = `revision ${number}: ${(error as Error).message}`;
      if (!(error instanceof FormatError || error instanceof ForkError))
        return { kind: 'revision-refused', source: from, code: 'state_write_failed', detail };
      this.#hand = null;
      return this.#refused(from, error.code, detail, signal);
    }
    this.#hand = null;
    onApplied(ops, (performance.now() - began) / 1000);
    stream?.applied();
    return { kind: 'revision-applied', revision: number };
  }

  /** What is right by itself may still be of a term that is over, or of one that two masters have held. */
  #requireOwnHistory({ hash, header }: VerifiedRevision): void {
    const { newest } = this.heads;
    if (newest && header.revision > newest.revision && header.epoch < newest.epoch) {
      const detail = `its epoch ${header.epoch} is older than ${newest.epoch}, of which a head was seen`;
      throw new FormatError('older_epoch', detail);
    }
    if (newest?.revision === header.revision && newest.hash !== hash.toString('hex'))
      throw new ForkError(`it does not have the hash ${newest.hash} by which the head names it`);
    if (header.epoch <= this.heads.forkedEpoch)
      throw new ForkError(`two masters have made revisions of epoch ${header.epoch}; neither is followed any further`);
  }

  async #refused(from: Origin, code: string, detail: string, signal: AbortSignal): Promise<SyncEvent> {
    if (from === 'stream') return { kind: 'revision-refused', source: from, code, detail };
    const source = this.#at(from);
    source.forget();
    // What does not continue this history may belong to another one.
    const fork = code === 'wrong_previous' ? await source.explainFork(detail, signal) : null;
    if (fork === null) return { kind: 'revision-refused', source: from, code, detail };
    return { kind: 'revision-refused', source: from, code: 'fork', detail: fork };
  }

  #at(source: number): PullSource {
    return this.#sources[source] as PullSource; // the machine knows how many there are
  }

  #tell(before: Sync, after: Sync): void {
    const { log, onChange, stream } = this.options;
    this.#tellFaults(before, after);
    if ((after.state === 'polling' || after.state === 'live') && !this.#caughtUp) {
      this.#caughtUp = true;
      log.info({ revision: after.revision }, 'caught up with the chain');
    }
    if (after.state === before.state && after.revision === before.revision && after.faults === before.faults) return;
    onChange();
    stream?.changed();
  }

  /** Once for each change, not for each poll. */
  #tellFaults({ faults: before }: Sync, { faults, revision }: Sync): void {
    const { log } = this.options;
    for (const about of new Set([...Object.keys(before), ...Object.keys(faults)]) as Set<FaultKey>) {
      const fault = faults[about];
      if (before[about]?.code === fault?.code) continue;
      const source = this.#describe(about);
      if (fault) log.warn({ source, code: fault.code, detail: fault.detail }, 'cannot follow the chain from here');
      else log.info({ source, revision }, 'following the chain from here again');
    }
  }

  #describe(about: FaultKey): string {
    const [, number] = about.split(' ');
    return number === undefined ? about : this.#at(Number(number)).source.description;
  }
}

function isRefusal(event: SyncEvent): event is Extract<SyncEvent, { code: string }> {
  if (event.kind === 'head-refused' || event.kind === 'stream-refused') return true;
  return event.kind === 'revision-refused' && !NOT_WRONG.has(event.code);
}
/** what is not there, or not taken by this disk, is not wrong */
const NOT_WRONG: ReadonlySet<string> = new Set(['revision_missing', 'state_write_failed']);

/** Two masters have made one revision each. */
class ForkError extends Error {
  readonly code = 'fork';
}

/** Ends the work with either of the two signals. */
async function until<T>(signal: AbortSignal, ends: AbortController, work: () => Promise<T>): Promise<T> {
  const stop = (): void => ends.abort();
  setMaxListeners(0, ends.signal); // what is fetched ahead listens, too
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await work();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
