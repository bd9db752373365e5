import { type Bucket, type Clock, DAY_MS, type Grant, LocalCounterStore, UNITS_PER_TOKEN, type Wish } from '#throttle';
import { partOfLimit, type Share } from './fair-share.js';
import { type KnownBucket, seedLocal } from './known-bucket.js';
import type { KnownBuckets } from './known-buckets.js';

/** For a node that has no part of a limit: it may have one when Redis is back, or when nodes come or go. */
const NOTHING: Grant = { granted: 0, lent: 0, remaining: 0, resetMs: 1000, retryMs: 1000, lease: 0 };

/**
 * A node's fair share of each limit, counted by itself. What it hands out is owed to Redis (`spent` of a bucket), and told
 * when Redis counts again. Leases of its own are named below 0, those of Redis above.
 */
export class NodeCounters {
  private readonly local: LocalCounterStore;

  constructor(
    private readonly clock: Clock,
    private readonly known: KnownBuckets,
    private readonly share: () => Share,
  ) {
    this.local = new LocalCounterStore(clock, () => Math.max(1, share().own));
    // else each address that ever called an open route would be counted in memory until its window ends
    known.onForgotten = (bucket) => this.local.drop(bucket);
  }

  take(bucket: Bucket, wish: Wish): Grant {
    const known = this.known.of(bucket);
    if (wish.lease > 0) this.takeBack(bucket, wish.held, wish.lease);
    const share = this.share();
    const own = partOfLimit(bucket, share);
    if (own === null) return NOTHING;
    if (!this.has(bucket)) seedLocal(this.local, own, known, share, Math.floor(this.clock.monotonicMs() * 1000));
    const ownWish = wish.lease < 0 ? { ...wish, lease: -wish.lease } : { ...wish, held: 0, lease: 0 };
    const before = this.local.quota(bucket.name);
    const grant = this.local.takeNow(own, ownWish);
    if (bucket.kind === 'rate') known.spent += grant.granted + grant.lent - Math.min(ownWish.held, known.spent);
    else this.count(known, before);
    this.known.owes(known);
    return { ...grant, lease: -grant.lease };
  }

  give(bucket: Bucket, unused: number, lease: number): void {
    if (lease > 0) return this.takeBack(bucket, unused, lease);
    const known = this.known.of(bucket);
    if (!this.has(bucket)) {
      // Redis counts again, and was told that these were spent
      if (bucket.kind === 'quota' && known.spentIn === -lease * DAY_MS) known.spent -= unused;
      return;
    }
    const before = this.local.quota(bucket.name);
    this.local.give(bucket, unused, -lease);
    if (bucket.kind === 'rate') known.spent = Math.max(0, known.spent - unused);
    else this.count(known, before);
  }

  /** Hands a bucket over to Redis. @returns tokens that are owed: of a rate only what time has not paid for meanwhile */
  handOver(known: KnownBucket): number {
    const { bucket, spent } = known;
    const debt = Math.ceil((this.local.rate(bucket.name)?.debt ?? 0) / UNITS_PER_TOKEN);
    this.local.drop(bucket);
    known.spent = 0;
    return bucket.kind === 'quota' ? spent : Math.min(Math.max(0, spent), debt);
  }

  /** Buckets that are counted in memory. */
  get size(): number {
    return this.local.size;
  }

  sweep(): void {
    // time has paid for all of it: what was spent is owed to nobody, and no bucket may begin with it again
    this.local.sweep((name) => this.known.paid(name));
  }

  /** Tokens that Redis lent, while it cannot be told: those of a quota are told later, those of a rate count as spent. */
  private takeBack(bucket: Bucket, unused: number, lease: number): void {
    if (bucket.kind === 'rate' || unused === 0) return;
    const known = this.known.of(bucket);
    const window = lease * DAY_MS;
    if (known.spent === 0) known.spentIn = window;
    if (known.spentIn !== window) return;
    known.spent -= unused;
    this.local.give(bucket, unused, lease);
    this.known.owes(known);
  }

  private count(known: KnownBucket, before: { start: number; used: number } | null): void {
    const after = this.local.quota(known.bucket.name);
    if (after === null) return;
    if (known.spentIn !== after.start) Object.assign(known, { spent: 0, spentIn: after.start });
    known.spent += after.used - (before?.start === after.start ? before.used : 0);
    this.known.changed(known);
  }

  private has({ kind, name }: Bucket): boolean {
    return (kind === 'rate' ? this.local.rate(name) : this.local.quota(name)) !== null;
  }
}
