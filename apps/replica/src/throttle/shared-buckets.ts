import { type Bucket, NOTHING_KNOWN, type RedisCounterStore, type SharedGrant, type Wish } from '#throttle';
import type { KnownBucket } from './known-bucket.js';
import type { KnownBuckets } from './known-buckets.js';
import type { RegionClock } from './region-clock.js';
import type { Silence } from './silence.js';

const NO_WISH: Wish = { need: 0, ahead: 0, held: 0, lease: 0 };

/** Buckets as the region's Redis counts them: what is known here goes with each question, and what is told is remembered. */
export class SharedBuckets {
  /** Redis may have become another server, or a copy, with each one: what was told in a former one counts if it is worse. */
  era = 0;

  constructor(
    private readonly known: KnownBuckets,
    private readonly clock: RegionClock,
    private readonly silence: Silence,
    private readonly failed: (error: Error) => void,
  ) {}

  /** @param spent tokens that were admitted without Redis @param spentIn the first millisecond of a quota's window in which they were */
  take(store: RedisCounterStore, known: KnownBucket, wish: Wish, spent: number, spentIn: number): Promise<SharedGrant> {
    const memory = { seen: known.seen, force: known.era !== this.era, spent, spentIn };
    return this.silence.listen(store.take(known.bucket, wish, memory));
  }

  /** Has Redis count what was admitted without it. */
  charge(store: RedisCounterStore, known: KnownBucket, spent: number, spentIn: number): Promise<SharedGrant> {
    return this.take(store, known, NO_WISH, spent, spentIn);
  }

  give(store: RedisCounterStore, bucket: Bucket, unused: number, lease: number): void {
    const known = this.known.of(bucket);
    const { era } = this;
    // with what is known of it: a Redis that was emptied did not count these tokens, and would take them for others'
    const memory = { ...NOTHING_KNOWN, seen: known.seen, force: known.era !== era };
    store.give(bucket, unused, lease, memory).then(
      (answer) => this.learn(known, answer, era),
      (error: unknown) => this.failed(error as Error),
    );
  }

  /** @param era in which it was asked */
  learn(known: KnownBucket, answer: SharedGrant, era: number): void {
    known.seen = answer.seen;
    known.era = era;
    this.clock.follow(answer.at);
    this.known.changed(known);
  }
}
