import { backoffMs, type Logger } from '#platform';
import {
  type Bucket,
  type CounterStore,
  type Grant,
  NOTHING_KNOWN,
  type RedisAddress,
  type RedisCounterStore,
  type SharedGrant,
  type Wish,
  withSpent,
} from '#throttle';
import type { KeptCounts } from './kept-counts.js';
import { KnownBuckets } from './known-buckets.js';
import { type KnownBucket, stillOwed } from './known-bucket.js';
import { NodeCounters } from './node-counters.js';
import { inTime } from './in-time.js';
import { RegionNodes } from './region-nodes.js';
import { RegionClock } from './region-clock.js';
import { SharedLink } from './shared-link.js';

export interface RegionCountersOptions {
  environment: string;
  region: string;
  /** null: this node counts alone */
  redis: RedisAddress | null;
  /** gateway workers of this node */
  workers: () => number;
  log: Logger;
  /** milliseconds that Redis has to answer; default: 4. Tests on a busy machine give it longer */
  answerMs?: number;
}

/** Redis has this long. One that takes longer is not asked again until a probe was answered in time. */
const ANSWER_MS = 4;
const PROBE_MS = { first: 50, most: 1000 };
/** After so long without a fault, the next one is the first one again. */
const STEADY_MS = 10_000;
/** How often a node says that it is there, and how long Redis has for that. */
const MEET_MS = { every: 1000, answer: 100 };
const SWEEP_MS = 10_000;
/** How long what is owed is charged before all else, and how many buckets at once. */
const SETTLE_MS = 2000;
const SETTLED_AT_ONCE = 200;
const NO_WISH: Wish = { need: 0, ahead: 0, held: 0, lease: 0 };

/**
 * The tokens of a region, as one node takes them: from Redis, and at once from this node's fair share of each limit while
 * Redis does not answer. Both go on from what the other has counted, as far as it was seen here.
 *
 *   take ─▶ shared? ─yes▶ Redis ─ in 4 ms ─▶ grant, and what the bucket is now
 *             │no           └ late, failed ─▶ local from now on; what comes late goes back
 *             └─▶ own part of the limit, begun with own part of what remained; counted to be charged later
 */
export class RegionCounters implements CounterStore {
  /** told how long Redis took, of each answer that came in time */
  onAnswer: (seconds: number) => void = () => undefined;
  readonly counts = { shared: 0, local: 0, late: 0, failed: 0 };
  private readonly clock = new RegionClock();
  private readonly known: KnownBuckets;
  private readonly own: NodeCounters;
  private readonly link: SharedLink | null;
  private readonly nodes: RegionNodes;
  private era = 0;
  private attempt = 0;
  private shared = false;
  private sharedSince = 0;
  private told: 'nothing' | 'shared' | 'local' = 'nothing';
  private lastAsked: Bucket = { kind: 'quota', name: 'probe', limit: { limit: 1, per: 'day' } };
  private timers: NodeJS.Timeout[] = [];
  private probing: NodeJS.Timeout | null = null;
  private closed = false;
  private readonly answerMs: number;

  constructor(private readonly options: RegionCountersOptions) {
    this.answerMs = options.answerMs ?? ANSWER_MS;
    this.known = new KnownBuckets(this.clock, options.log, options.redis === null);
    this.nodes = new RegionNodes(this.known, options.workers);
    this.own = new NodeCounters(this.clock, this.known, () => this.nodes.share());
    const { redis, environment, region, log } = options;
    this.link =
      redis &&
      new SharedLink(redis, `${environment}/${region}`, () => this.workersOfRegion, {
        ready: () => void this.onReady(),
        failed: (why) => this.goLocal(why),
      });
    if (redis) log.debug({ hosts: redis.hosts, kind: redis.kind }, 'counters of the region are asked of Redis');
  }

  /** Reads what was kept, and looks for Redis; waits for neither it nor the disk to be well. */
  start(kept: () => KeptCounts): void {
    this.known.open(kept);
    if (this.link) this.nodes.load();
    this.link?.connect().catch((error: unknown) => this.goLocal((error as Error).message));
    const every = (ms: number, what: () => void): void => void this.timers.push(setInterval(what, ms).unref());
    every(SWEEP_MS, () => this.own.sweep());
    if (this.link)
      // also while Redis is too slow for this node: the others have their limits from it, and would forget this one
      every(MEET_MS.every, () => void this.meet());
  }

  /** `shared`: limits are those of the region; `local`: this node counts alone, or its fair share. */
  get status(): 'shared' | 'local' {
    return this.shared ? 'shared' : 'local';
  }

  /** As last heard of: this node's among them. */
  get workersOfRegion(): number {
    return Math.max(1, this.nodes.share().all);
  }

  take(bucket: Bucket, wish: Wish): Promise<Grant> {
    return this.shared && this.link
      ? this.askShared(this.link.store, bucket, wish)
      : Promise.resolve(this.takeHere(bucket, wish));
  }

  give(bucket: Bucket, unused: number, lease: number): void {
    if (lease < 0 || !this.shared || !this.link) return this.own.give(bucket, unused, lease);
    const known = this.known.of(bucket);
    const { era } = this;
    // with what is known of it: a Redis that was emptied did not count these tokens, and would take them for others'
    const memory = { ...NOTHING_KNOWN, seen: known.seen, force: known.era !== era };
    this.link.store.give(bucket, unused, lease, memory).then(
      (answer) => this.learn(known, answer, era),
      (error: unknown) => this.failed(error as Error),
    );
  }

  async stop(): Promise<void> {
    this.closed = true;
    for (const timer of this.timers) clearInterval(timer);
    if (this.probing) clearTimeout(this.probing);
    if (this.shared && this.link) await this.nodes.leave(this.link.store, MEET_MS.answer);
    this.link?.close();
    await this.known.close();
  }

  private async askShared(store: RedisCounterStore, bucket: Bucket, wish: Wish): Promise<Grant> {
    const known = this.known.of(bucket);
    let own = wish;
    if (wish.lease < 0) {
      this.own.give(bucket, wish.held, wish.lease);
      own = { ...wish, held: 0, lease: 0 };
    }
    const { seen, spentIn } = known;
    const { era } = this;
    // charged once: whoever asks meanwhile does not owe it, too
    const spent = this.own.handOver(known);
    const began = performance.now();
    const question = store.take(bucket, own, { seen, force: known.era !== era, spent, spentIn });
    this.lastAsked = bucket;
    try {
      const grant = await inTime(question, this.answerMs);
      if (grant !== null) {
        this.onAnswer((performance.now() - began) / 1000);
        this.counts.shared += 1;
        this.learn(known, grant, era);
        return grant;
      }
      this.counts.late += 1;
      // It may have been charged, or not: by the worse of both it is, once.
      if (known.seen === '') known.spent += spent;
      else known.seen = withSpent(known.seen, spent);
      question.then(
        (late) => this.giveLate(store, bucket, late),
        () => undefined, // it was counted as late
      );
      this.goLocal(`it did not answer within ${this.answerMs} ms`);
    } catch (error) {
      known.spent += stillOwed(spent, error);
      this.failed(error as Error);
    }
    // what was held came with the question, and may have come back
    return this.takeHere(bucket, { ...own, held: 0, lease: 0 });
  }

  private learn(known: KnownBucket, grant: SharedGrant, era: number): void {
    known.seen = grant.seen;
    known.era = era;
    this.clock.follow(grant.at);
    this.known.changed(known);
  }

  private giveLate(store: RedisCounterStore, bucket: Bucket, { granted, lent, lease }: SharedGrant): void {
    store.give(bucket, granted + lent, lease).catch((error: unknown) => this.failed(error as Error));
  }

  private takeHere(bucket: Bucket, wish: Wish): Grant {
    this.counts.local += 1;
    return this.own.take(bucket, wish);
  }

  private failed(error: Error): void {
    this.counts.failed += 1;
    this.goLocal(error.message);
  }

  /** From the next question on, this node counts its share. A probe finds out when Redis is well again. */
  private goLocal(why: string): void {
    if (this.closed || this.link === null) return;
    if (this.shared && performance.now() - this.sharedSince > STEADY_MS) this.attempt = 0;
    this.shared = false;
    this.era += 1;
    if (this.told !== 'local')
      this.options.log.warn(
        { why, share: this.nodes.share() },
        'the counters of the region cannot be used; this node counts its share of each limit',
      );
    this.told = 'local';
    this.scheduleProbe();
  }

  private scheduleProbe(): void {
    if (this.closed) return;
    this.probing ??= setTimeout(
      () => void this.probe(),
      backoffMs(this.attempt++, PROBE_MS.first, PROBE_MS.most, Math.random),
    ).unref();
  }

  private onReady(): void {
    this.era += 1; // it may be another server, or a copy
    this.attempt = 0;
    if (this.probing) clearTimeout(this.probing);
    this.probing = setTimeout(() => void this.probe(), 0);
  }

  /** A question for nothing, about the bucket that was asked for last: it is read and written, as any would be. */
  private async probe(): Promise<void> {
    const { link } = this;
    if (link === null || this.closed) return;
    const question = link.store.take(this.lastAsked, NO_WISH);
    let why = 'it answers too late';
    try {
      const answer = await inTime(question, this.answerMs);
      if (answer !== null) {
        this.clock.follow(answer.at);
        if ((await this.meet()) && (await this.settle(link.store))) return this.goShared();
      }
      await question; // one probe at a time
    } catch (error) {
      why = (error as Error).message;
    }
    this.probing = null;
    this.goLocal(why);
  }

  /**
   * Charges what this node has granted by itself, before it asks Redis for more: others would be granted it again. What is
   * left after some time is charged as it is asked for.
   */
  private async settle(store: RedisCounterStore): Promise<boolean> {
    const deadline = performance.now() + SETTLE_MS;
    for (;;) {
      const owing = this.known.owing(SETTLED_AT_ONCE);
      if (owing.length === 0 || performance.now() > deadline) return true;
      const charged = Promise.all(owing.map((known) => this.charge(store, known)));
      if ((await inTime(charged, MEET_MS.answer)) === null) return false;
    }
  }

  private async charge(store: RedisCounterStore, known: KnownBucket): Promise<void> {
    const { seen, spentIn } = known;
    const { era } = this;
    const spent = this.own.handOver(known);
    try {
      this.learn(
        known,
        await store.take(known.bucket, NO_WISH, { seen, force: known.era !== era, spent, spentIn }),
        era,
      );
    } catch (error) {
      known.spent += stillOwed(spent, error);
      throw error;
    }
  }

  private goShared(): void {
    this.probing = null;
    if (this.closed) return;
    this.shared = true;
    if (this.told !== 'shared')
      this.options.log.info({ share: this.nodes.share() }, 'the counters of the region are in use');
    this.told = 'shared';
    this.sharedSince = performance.now();
  }

  /** Says that this node is there, and learns who else is: for the shares, when they are needed. */
  private async meet(): Promise<boolean> {
    const { link } = this;
    if (link === null || this.closed || !link.isReady) return false;
    try {
      const met = await this.nodes.meet(link.store, MEET_MS.answer);
      if (!met) this.goLocal('it is silent');
      return met;
    } catch (error) {
      this.failed(error as Error);
      return false;
    }
  }
}
