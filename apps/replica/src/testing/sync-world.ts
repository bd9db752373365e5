import type { Moment, Origin, Step, Sync, SyncEffect, SyncEvent } from '../sync/sync.js';
import { BEGINNING, NEAR } from '../sync/sync.js';
import { transition } from '../sync/sync-machine.js';

/** What one source, or the stream, does at a time. */
export const MOODS = ['good', 'gone', 'lies', 'empty', 'frozen'] as const;
export type Mood = (typeof MOODS)[number];

const TIMES = { pollMs: 2000, streamPollMs: 60_000 };
const RECONNECT_MS = 700;

/**
 * A chain, sources that fail and lie, a stream that breaks, a disk that is full at times, and a clock: everything that the
 * sync machine may meet, without any I/O. It carries out one effect at a time, as the agent does.
 */
export class SyncWorld {
  now = 1_000_000;
  head = 3;
  moods: Mood[];
  stream: Mood = 'gone';
  isDiskFull = false;
  sync: Sync = BEGINNING;
  /** the newest revision on the disk */
  position = 0;
  /** effects in a row that neither took time nor brought a revision */
  busy = 0;
  #effect: SyncEffect;
  /** so many good ones, and then perhaps one that is not */
  #hand: { good: number; bad: number; from: Origin } | null = null;
  /** null: not connected; else the next revision that it brings */
  #next: number | null = null;
  #answered = false;
  #connectAt = 0;
  #spoilt = false;
  #brought = 0;

  constructor(
    sources: number,
    streams: boolean,
    private readonly random: () => number,
  ) {
    this.moods = Array<Mood>(sources).fill('good');
    const booted: SyncEvent = { kind: 'booted', revision: 0, head: 0, sources, streams };
    this.#effect = this.#take(booted);
    this.#streams = streams;
  }

  readonly #streams: boolean;

  get effect(): SyncEffect {
    return this.#effect;
  }

  /** Carries out what is to be done, and hands over what the stream has brought meanwhile. */
  step(): void {
    const { revision } = this.sync;
    const outcome = this.#perform(this.#effect);
    this.#effect = this.#take(outcome);
    for (const news of this.#news()) this.#effect = this.#take(news);
    this.busy = this.#effect.kind === 'wait' || this.sync.revision > revision ? 0 : this.busy + 1;
  }

  /** The disk is found to hold something else than was written. */
  spoil(): void {
    this.#spoilt = true;
  }

  /** Runs for so long by its own clock. */
  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; ) this.step();
  }

  #take(event: SyncEvent): SyncEffect {
    const { sync, effect }: Step = transition(this.sync, event, this.#moment(), TIMES);
    this.sync = sync;
    return effect;
  }

  #moment(): Moment {
    return { now: this.now, random: this.random(), revision: this.position };
  }

  #perform(effect: SyncEffect): SyncEvent {
    this.now += 1;
    switch (effect.kind) {
      case 'wait':
        // what the stream brings ends it early
        this.now += this.#next !== null && this.random() < 0.5 ? Math.min(effect.ms, 50) : effect.ms;
        return { kind: 'tick' };
      case 'fetch-head':
        return this.#look(effect.source);
      case 'fetch-revision':
        return this.#fetch(effect.source, effect.revision);
      case 'catch-up':
        return this.#jump(effect.source, effect.until);
      case 'repair':
        return { kind: 'repaired', source: effect.source, revision: this.position, damaged: 1 };
      case 'mend':
        return this.#mend(effect.source);
      case 'take-pushed':
        return this.#takePushed();
      case 'apply':
        return this.#apply();
      case 'refollow':
        return this.#follow();
      case 'drop-stream':
        this.#hangUp();
        return { kind: 'stream-down', code: effect.code, detail: effect.detail };
    }
  }

  #look(source: number): SyncEvent {
    switch (this.moods[source]) {
      case 'good':
      case 'empty':
        return { kind: 'head-seen', source, head: this.head, fresh: true };
      case 'frozen':
        return { kind: 'head-seen', source, head: 2, fresh: false };
      case 'lies':
        return {
          kind: 'head-refused',
          source,
          code: this.random() < 0.5 ? 'bad_signature' : 'untrusted_key',
          detail: 'd',
        };
      default:
        return { kind: 'source-failed', source, code: 'store_unreachable', detail: 'd' };
    }
  }

  #fetch(source: number, revision: number): SyncEvent {
    const mood = this.moods[source];
    if (mood === 'gone') return { kind: 'source-failed', source, code: 'store_unreachable', detail: 'd' };
    const has = mood === 'lies' || (mood === 'frozen' ? revision <= 2 : mood === 'good' && revision <= this.head);
    if (!has) return { kind: 'revision-refused', source, code: 'revision_missing', detail: 'd' };
    const good = mood === 'lies' ? 0 : this.#upTo(Math.min(4, this.head - revision + 1));
    const bad = mood === 'lies' || this.random() < 0.1 ? 1 : 0;
    this.#hand = { good, bad, from: source };
    return { kind: 'revision-fetched', source, revisions: good + bad };
  }

  #jump(source: number, until: number): SyncEvent {
    const mood = this.moods[source];
    if (mood === 'gone') return { kind: 'source-failed', source, code: 'store_unreachable', detail: 'd' };
    if (mood !== 'good') return { kind: 'revision-refused', source, code: 'bad_hash', detail: 'd' };
    if (this.isDiskFull) return { kind: 'revision-refused', source, code: 'state_write_failed', detail: 'd' };
    const far = until - this.position;
    if (far > 1 && this.random() < 0.3) {
      this.position += this.#upTo(far - 1); // what was taken of it stays
      if (this.random() < 0.5) return { kind: 'source-failed', source, code: 'store_unreachable', detail: 'd' };
      return { kind: 'revision-refused', source, code: 'object_missing', detail: 'd' };
    }
    this.position = until;
    return { kind: 'caught-up', source, revision: until };
  }

  #mend(source: number): SyncEvent {
    if (this.moods[source] !== 'good' || this.isDiskFull) return { kind: 'mend-failed', code: 'c', detail: 'd' };
    return { kind: 'mended', source, revision: this.position };
  }

  #takePushed(): SyncEvent {
    if (this.#brought === 0) return { kind: 'stream-pushed', waiting: 0 };
    const revisions = this.#upTo(Math.min(4, this.#brought));
    this.#brought -= revisions;
    const good = this.stream === 'lies' ? Math.floor(this.random() * revisions) : revisions;
    this.#hand = { good, bad: revisions - good, from: 'stream' };
    return { kind: 'revision-fetched', source: 'stream', revisions };
  }

  #apply(): SyncEvent {
    const { bad, from, good } = this.#hand ?? { from: 0, good: 0, bad: 0 };
    if (this.isDiskFull) return { kind: 'revision-refused', source: from, code: 'state_write_failed', detail: 'd' };
    if (good > 0) {
      const applied = this.#upTo(good); // it may end after one that changes whom to believe
      const left = good - applied + bad;
      this.#hand = left > 0 ? { good: good - applied, bad, from } : null;
      this.position += applied;
      return { kind: 'revision-applied', revision: this.position, left };
    }
    this.#hand = null;
    const code = (['bad_hash', 'wrong_revision', 'older_epoch', 'wrong_root'] as const)[Math.floor(this.random() * 4)];
    return { kind: 'revision-refused', source: from, code: code ?? 'bad_hash', detail: 'd' };
  }

  /** From 1 on. */
  #upTo(most: number): number {
    return 1 + Math.floor(this.random() * most);
  }

  #follow(): SyncEvent {
    if (this.#next !== null) this.#next = this.position + 1;
    this.#brought = 0;
    this.#answered = false;
    return { kind: 'refollowed', revision: this.position };
  }

  #hangUp(): void {
    this.#next = null;
    this.#brought = 0;
    this.#connectAt = this.now + RECONNECT_MS;
  }

  *#news(): Iterable<SyncEvent> {
    if (this.#spoilt) yield { kind: 'damage-found', buckets: 1 };
    this.#spoilt = false;
    if (!this.#streams) return;
    if (this.#next === null) {
      if (this.stream === 'gone' || this.now < this.#connectAt) return;
      this.#next = this.position + 1;
      this.#answered = false;
      yield { kind: 'stream-up', revision: this.position };
    }
    if (this.stream === 'gone') {
      this.#hangUp();
      yield { kind: 'stream-down', code: 'stream_closed', detail: 'd' };
    } else if (this.stream === 'empty') {
      // connected, and silent
    } else if (!this.#answered) {
      this.#answered = true;
      const far = this.head - this.#next >= 10 * NEAR;
      yield { kind: 'stream-intent', intent: far ? 'full' : 'changes', head: this.head, fault: null };
    } else {
      yield { kind: 'head-seen', source: 'stream', head: this.head, fresh: this.stream !== 'frozen' };
      const fresh = this.head - this.#next + 1;
      if (fresh <= 0 || this.stream === 'frozen' || this.sync.stream.link !== 'following') return;
      this.#next += fresh;
      this.#brought += fresh;
      yield { kind: 'stream-pushed', waiting: this.#brought };
    }
  }
}
