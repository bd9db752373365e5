import type { QuotaLimit, RateLimit } from '#model';
import { type Bucket, type CounterStore, type Grant, LEASE_MS } from '../store/counter-store.js';

/** What a plan limits; null is no limit. */
export interface Limits {
  rate: RateLimit | null;
  quota: QuotaLimit | null;
}

/** Where one limit stands, as far as this holder knows. */
export interface Gauge {
  remaining: number;
  resetMs: number;
}

export type Spending =
  /** one token of each limit was spent */
  | { kind: 'spent'; rate: Gauge | null; quota: Gauge | null }
  /** nothing was spent; `unknown`: the store could not be asked */
  | {
      kind: 'refused';
      by: 'rate' | 'quota';
      retryMs: number;
      unknown: boolean;
      rate: Gauge | null;
      quota: Gauge | null;
    }
  /** nothing was spent; `fetch` the missing tokens, then spend again */
  | { kind: 'wait' };

interface Lease {
  bucket: Bucket;
  tokens: number;
  /** as the store named it */
  name: number;
  /** its tokens are not spent from then on */
  endsAt: number;
  /** of the store's last answer */
  remaining: number;
  /** times of this process's monotonic clock, in milliseconds */
  resetAt: number;
  emptyUntil: number;
  usedAt: number;
  /** the store did not answer; until `emptyUntil` it is not asked again */
  unknown: boolean;
  /** tokens beyond those that were waited for: the store has to be told when that ends */
  lent: number;
  asking: Promise<void> | null;
  /** requests that the next question asks for; null: it is on its way, and they are not in it */
  waiting: number | null;
}

/** After this long without use a lease goes back. */
const IDLE_MS = 500;
/** What the store is asked to lend. */
const AHEAD = 1000;
/** An answer that the bucket is empty holds at least this long: a request that waited is then refused, not put off again. */
const EMPTY_MS = 1;
/** How long a store that could not be asked is left alone. */
const UNKNOWN_MS = 1000;
/** A bucket that is empty for longer is asked for again after this, so that memory is bounded by what is in use. */
const FORGET_MS = 60_000;

/**
 * The tokens that one process holds. Spending is a decrement and refusing a comparison; only an unknown bucket or a
 * spent lease asks the store, once for all requests that wait for it.
 */
export class LeaseBook {
  /** questions to the store so far */
  asked = 0;
  private readonly leases = { rate: new Map<string, Lease>(), quota: new Map<string, Lease>() };

  /** @param now monotonic milliseconds */
  constructor(
    private readonly store: CounterStore,
    private readonly now: () => number,
  ) {}

  /** Spends one token of each limit, or none of any. */
  spend(subscription: string, limits: Limits): Spending {
    const now = this.now();
    const quota = limits.quota && this.leaseOf({ kind: 'quota', name: subscription, limit: limits.quota }, now);
    const rate = limits.rate && this.leaseOf({ kind: 'rate', name: subscription, limit: limits.rate }, now);
    // the quota first: when both are empty, it is what takes longer
    const refusing = emptied(quota, now) ?? emptied(rate, now);
    if (refusing) {
      refusing.usedAt = now;
      const retryMs = refusing.emptyUntil - now;
      return {
        kind: 'refused',
        by: refusing.bucket.kind,
        retryMs,
        unknown: refusing.unknown,
        rate: gauge(rate, now),
        quota: gauge(quota, now),
      };
    }
    if (rate?.tokens === 0 || quota?.tokens === 0) return { kind: 'wait' };
    if (rate) use(rate, now);
    if (quota) use(quota, now);
    return { kind: 'spent', rate: gauge(rate, now), quota: gauge(quota, now) };
  }

  /**
   * Resolves when the store has answered, or could not, for every limit whose lease is spent: then it is to be tried
   * again. Never rejects.
   */
  async fetch(subscription: string, limits: Limits): Promise<void> {
    const now = this.now();
    const asked: Promise<void>[] = [];
    for (const bucket of bucketsOf(subscription, limits)) {
      const lease = this.leaseOf(bucket, now);
      if (lease.tokens > 0) continue;
      lease.asking ??= this.ask(lease);
      if (lease.waiting !== null) lease.waiting += 1;
      asked.push(lease.asking);
    }
    await Promise.all(asked);
  }

  /** Gives idle leases back, and forgets what nobody used. To be called every 250 ms or so. */
  sweep(): void {
    const now = this.now();
    for (const leases of [this.leases.rate, this.leases.quota]) {
      for (const [name, lease] of leases) {
        if (lease.asking !== null || now - lease.usedAt < IDLE_MS) continue;
        this.giveBack(lease, now);
        if (now >= lease.emptyUntil || now - lease.usedAt > FORGET_MS) leases.delete(name);
      }
    }
  }

  /** Gives everything back, before this process ends. */
  close(): void {
    const now = this.now();
    for (const leases of [this.leases.rate, this.leases.quota]) {
      for (const lease of leases.values()) this.giveBack(lease, now);
      leases.clear();
    }
  }

  /** Leases in memory. */
  get size(): number {
    return this.leases.rate.size + this.leases.quota.size;
  }

  private leaseOf(bucket: Bucket, now: number): Lease {
    const leases = this.leases[bucket.kind];
    const lease = leases.get(bucket.name);
    if (!lease) {
      const made: Lease = {
        bucket,
        tokens: 0,
        name: 0,
        endsAt: 0,
        remaining: 0,
        resetAt: now,
        emptyUntil: 0,
        usedAt: now,
        unknown: false,
        lent: 0,
        asking: null,
        waiting: null,
      };
      leases.set(bucket.name, made);
      return made;
    }
    if (lease.bucket.limit !== bucket.limit) {
      if (!sameLimit(lease.bucket, bucket)) lease.emptyUntil = 0; // another plan may have tokens where this one had none
      lease.bucket = bucket;
    }
    // yesterday's tokens are worth nothing today; the store knows that by itself
    if (now >= lease.endsAt || (bucket.kind === 'quota' && now >= lease.resetAt)) lease.tokens = 0;
    return lease;
  }

  private async ask(lease: Lease): Promise<void> {
    lease.waiting = 0;
    this.asked += 1;
    // one question for all requests that this turn of the event loop brings
    await new Promise((resolve) => setImmediate(resolve));
    const want = lease.waiting;
    lease.waiting = null;
    const askedAt = this.now();
    try {
      const wish = { need: want, ahead: AHEAD, held: lease.tokens, lease: lease.name };
      this.receive(lease, await this.store.take(lease.bucket, wish), want, askedAt);
    } catch {
      // whoever implements the store reports why; here it is enough that nothing may be spent
      lease.unknown = true;
      lease.emptyUntil = this.now() + UNKNOWN_MS;
    } finally {
      lease.asking = null;
    }
  }

  private receive(lease: Lease, grant: Grant, want: number, askedAt: number): void {
    const now = this.now();
    lease.unknown = false;
    lease.tokens = grant.granted + grant.lent;
    lease.lent = grant.lent;
    // What was waited for is spent in this turn or, should another limit refuse or the client be gone, not at all: the
    // store takes it for spent and lets the bucket fill up again, and a token that stayed here would come on top.
    if (lease.bucket.kind === 'rate') setImmediate(() => this.returnUnspent(lease));
    lease.name = grant.lease;
    lease.endsAt = askedAt + LEASE_MS;
    lease.remaining = grant.remaining;
    lease.resetAt = askedAt + grant.resetMs;
    lease.emptyUntil = grant.granted < want ? Math.max(now + EMPTY_MS, askedAt + grant.retryMs) : 0;
    lease.usedAt = now;
  }

  private returnUnspent(lease: Lease): void {
    if (lease.asking === null && lease.tokens > lease.lent) this.giveBack(lease, this.now());
  }

  private giveBack(lease: Lease, now: number): void {
    const ended = lease.bucket.kind === 'quota' && now >= lease.resetAt;
    if ((lease.tokens > 0 || lease.lent > 0) && !ended) this.store.give(lease.bucket, lease.tokens, lease.name);
    lease.tokens = 0;
    lease.lent = 0;
    lease.name = 0;
  }
}

function bucketsOf(subscription: string, limits: Limits): Bucket[] {
  const buckets: Bucket[] = [];
  if (limits.quota) buckets.push({ kind: 'quota', name: subscription, limit: limits.quota });
  if (limits.rate) buckets.push({ kind: 'rate', name: subscription, limit: limits.rate });
  return buckets;
}

function emptied(lease: Lease | null, now: number): Lease | null {
  return lease !== null && lease.tokens === 0 && now < lease.emptyUntil ? lease : null;
}

function use(lease: Lease, now: number): void {
  lease.tokens -= 1;
  lease.usedAt = now;
}

function gauge(lease: Lease | null, now: number): Gauge | null {
  return lease && { remaining: lease.tokens + lease.remaining, resetMs: Math.max(0, lease.resetAt - now) };
}

function sameLimit(a: Bucket, b: Bucket): boolean {
  if (a.limit.limit !== b.limit.limit || a.limit.per !== b.limit.per) return false;
  return a.kind !== 'rate' || b.kind !== 'rate' || a.limit.burst === b.limit.burst;
}
