import { backoffMs, type Logger } from '#platform';
import {
  type Bucket,
  type CounterStore,
  type Grant,
  type RedisAddress,
  type RedisCounterStore,
  type Wish,
} from '#throttle';
import type { KeptCounts } from './kept-counts.js';
import { KnownBuckets } from './known-buckets.js';
import { type KnownBucket, stillOwed } from './known-bucket.js';
import { NodeCounters } from './node-counters.js';
import { inTime } from './in-time.js';
import { LateQuestions } from './late-questions.js';
import { RegionNodes } from './region-nodes.js';
import { RegionClock } from './region-clock.js';
import { SharedBuckets } from './shared-buckets.js';
import { SharedLink } from './shared-link.js';
import { Silence } from './silence.js';

export interface RegionCountersOptions {
  environment: string;
  region: string;
  /** null: this node counts alone */
  redis: RedisAddress | null;
  /** gateway workers of this node */
  workers: () => number;
  log: Logger;
  /** milliseconds that a request waits for Redis, default: 4; and after which a silent one is gone, default: 250. Tests on a busy machine give it longer */
  answerMs?: number;
  silentMs?: number;
}

/** A request waits for Redis this long. */
const ANSWER_MS = 4;
/** Redis is late until then, and after that it is gone. */
const SILENT_MS = 250;
const PROBE_MS = { first: 50, most: 1000 };
/** After so long without a fault, the next one is the first one again. */
const STEADY_MS = 10_000;
/** How often a node says that it is there. */
const MEET_MS = 1000;
const SWEEP_MS = 10_000;
/** How long what is owed is charged before all else, and how many buckets at once. */
const SETTLE_MS = 2000;
const SETTLED_AT_ONCE = 200;
const NO_WISH: Wish = { need: 0, ahead: 0, held: 0, lease: 0 };

/**
 * The tokens of a region, as one node takes them: from Redis, and at once from this node's fair share of each limit while
 * Redis is gone. Both go on from what the other has counted, as far as it was seen here.
 *
 *   take ─▶ shared? ─yes▶ Redis ─ in 4 ms ───▶ grant, and what the bucket is now
 *             │no           ├ late ──────────▶ a share of a bucket that was half full just now, or nothing;
 *             │             │                  set off against the answer when it comes
 *             │             └ failed, silent ▶ local from now on
 *             └─▶ own part of the limit, begun with own part of what remained; counted to be charged later
 */
export class RegionCounters implements CounterStore {
  /** told how long Redis took, of each answer */
  onAnswer: (seconds: number) => void = () => undefined;
  readonly counts = { shared: 0, local: 0, late: 0, failed: 0 };
  private readonly clock = new RegionClock();
  private readonly known: KnownBuckets;
  private readonly own: NodeCounters;
  private readonly link: SharedLink | null;
  private readonly nodes: RegionNodes;
  private readonly silence: Silence;
  private readonly buckets: SharedBuckets;
  private readonly late: LateQuestions;
  private attempt = 0;
  private shared = false;
  private sharedSince = 0;
  private told: 'nothing' | 'shared' | 'local' = 'nothing';
  private lastAsked: Bucket = { kind: 'quota', name: 'probe', limit: { limit: 1, per: 'day' } };
  private timers: NodeJS.Timeout[] = [];
  private probing: NodeJS.Timeout | null = null;
  private closed = false;
  private readonly answerMs: number;
  private readonly silentMs: number;

  constructor(private readonly options: RegionCountersOptions) {
    this.answerMs = options.answerMs ?? ANSWER_MS;
    this.silentMs = options.silentMs ?? SILENT_MS;
    this.silence = new Silence(this.silentMs, () => this.goLocal(`it has not answered for ${this.silentMs} ms`));
    this.known = new KnownBuckets(this.clock, options.log, options.redis === null);
    this.nodes = new RegionNodes(this.known, options.workers);
    this.own = new NodeCounters(this.clock, this.known, () => this.nodes.share());
    const failed = (error: Error): void => this.failed(error);
    this.buckets = new SharedBuckets(this.known, this.clock, this.silence, failed);
    this.late = new LateQuestions(this.clock, this.own, this.buckets, () => this.nodes.share(), failed);
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
      every(MEET_MS, () => void this.meet());
  }

  /** Whether the region has a Redis, as far as settings say. */
  get hasRedis(): boolean {
    return this.link !== null;
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
    // those that were granted while Redis was late have none: rather too few are spent than too many
    if (lease !== 0) this.buckets.give(this.link.store, bucket, unused, lease);
  }

  async stop(): Promise<void> {
    this.closed = true;
    for (const timer of this.timers) clearInterval(timer);
    if (this.probing) clearTimeout(this.probing);
    this.silence.stop();
    if (this.shared && this.link) await this.nodes.leave(this.link.store, this.silentMs);
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
    const { era } = this.buckets;
    const { spentIn } = known;
    // charged once: whoever asks meanwhile does not owe it, too
    const spent = this.own.handOver(known);
    const began = performance.now();
    const question = this.buckets.take(store, known, own, spent, spentIn);
    this.lastAsked = bucket;
    try {
      const grant = await inTime(question, this.answerMs);
      if (grant !== null) {
        this.onAnswer((performance.now() - began) / 1000);
        this.counts.shared += 1;
        this.buckets.learn(known, grant, era);
        return grant;
      }
    } catch (error) {
      known.spent += stillOwed(spent, error);
      this.failed(error as Error);
      // what was held came with the question, and may have come back
      return this.takeHere(bucket, { ...own, held: 0, lease: 0 });
    }
    this.counts.late += 1;
    const late = this.late.open({ store, known, spent, era }, question);
    void question.then(() => this.onAnswer((performance.now() - began) / 1000)).catch(() => undefined); // told by `late`
    if (era === this.buckets.era) return this.late.answer(late, wish.need);
    this.late.leave(late);
    return this.takeHere(bucket, { ...own, held: 0, lease: 0 });
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
    this.buckets.era += 1;
    this.late.leaveAll();
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
    this.buckets.era += 1; // it may be another server, or a copy
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
      const answer = await inTime(question, this.silentMs);
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
      if ((await inTime(charged, this.silentMs)) === null) return false;
    }
  }

  private async charge(store: RedisCounterStore, known: KnownBucket): Promise<void> {
    const { era } = this.buckets;
    const { spentIn } = known;
    const spent = this.own.handOver(known);
    try {
      this.buckets.learn(known, await this.buckets.charge(store, known, spent, spentIn), era);
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
      return (await inTime(this.silence.listen(this.nodes.meet(link.store)), this.silentMs)) !== null;
    } catch (error) {
      this.failed(error as Error);
      return false;
    }
  }
}
