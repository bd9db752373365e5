import { portion } from '../algorithm/portion.js';
import { endQuotaLease, type QuotaState, quotaLease, quotaWindow, settleQuota } from '../algorithm/quota.js';
import {
  availableTokens,
  burstOf,
  chargeRate,
  endRateLease,
  newRateState,
  rateLease,
  type RateState,
  rateWaitMs,
  settleRate,
} from '../algorithm/rate.js';
import type { Clock } from './clock.js';
import type { Bucket, CounterStore, Grant, Wish } from './counter-store.js';

interface RateBucket {
  bucket: Bucket & { kind: 'rate' };
  state: RateState;
}

interface QuotaBucket {
  bucket: Bucket & { kind: 'quota' };
  state: QuotaState;
}

/** Counters in the memory of one process. It waits for nothing. */
export class LocalCounterStore implements CounterStore {
  private readonly rates = new Map<string, RateBucket>();
  private readonly quotas = new Map<string, QuotaBucket>();
  private quotasSwept = 0;

  /** @param holders how many share what it lends */
  constructor(
    private readonly clock: Clock,
    private readonly holders: () => number = () => 1,
  ) {}

  take(bucket: Bucket, wish: Wish): Promise<Grant> {
    return Promise.resolve(this.takeNow(bucket, wish));
  }

  takeNow(bucket: Bucket, wish: Wish): Grant {
    return bucket.kind === 'rate' ? this.takeRate(bucket, wish) : this.takeQuota(bucket, wish);
  }

  give(bucket: Bucket, unused: number, lease: number): void {
    if (bucket.kind === 'rate') {
      const held = this.rates.get(bucket.name);
      if (held) held.state = endRateLease(this.settled(held), held.bucket.limit, unused, lease);
    } else {
      const held = this.quotas.get(bucket.name);
      if (held) held.state = endQuotaLease(held.state, unused, lease);
    }
  }

  /** What a bucket is by now; null: as good as new. */
  rate(name: string): RateState | null {
    const held = this.rates.get(name);
    return held ? this.settled(held) : null;
  }

  quota(name: string): QuotaState | null {
    return this.quotas.get(name)?.state ?? null;
  }

  /** Begins with what somebody else has counted. */
  putRate(bucket: Bucket & { kind: 'rate' }, state: RateState): void {
    this.rates.set(bucket.name, { bucket, state });
  }

  putQuota(bucket: Bucket & { kind: 'quota' }, state: QuotaState): void {
    this.quotas.set(bucket.name, { bucket, state });
  }

  /** Somebody else counts on. */
  drop({ kind, name }: Bucket): void {
    (kind === 'rate' ? this.rates : this.quotas).delete(name);
  }

  /**
   * Drops what is as good as new: full buckets, and windows that have ended. To be called now and then.
   *
   * @param full told of each rate whose bucket was dropped
   */
  sweep(full: (name: string) => void = () => undefined): void {
    for (const [name, held] of this.rates) {
      held.state = this.settled(held);
      if (held.state.debt > 0) continue;
      this.rates.delete(name);
      full(name);
    }
    const today = quotaWindow({ limit: 1, per: 'day' }, this.clock.wallMs()).start;
    if (today === this.quotasSwept) return; // windows end with days, and there may be a bucket for every subscription
    this.quotasSwept = today;
    for (const [name, { bucket, state }] of this.quotas) {
      if (quotaWindow(bucket.limit, state.start).end <= today) this.quotas.delete(name);
    }
  }

  /** Buckets in memory. */
  get size(): number {
    return this.rates.size + this.quotas.size;
  }

  private takeRate(bucket: RateBucket['bucket'], { need, ahead, held: unused, lease }: Wish): Grant {
    const { limit } = bucket;
    const held = this.rates.get(bucket.name) ?? { bucket, state: newRateState(this.micros()) };
    this.rates.set(bucket.name, held);
    // by the limit that held until now: a plan that changes does not change the past
    const state = endRateLease(this.settled(held), held.bucket.limit, unused, lease);
    const available = availableTokens(state, limit);
    const { granted, lent } = portion(available, need, ahead, this.holders());
    held.bucket = bucket;
    held.state = chargeRate(state, granted + lent, lent);
    return {
      granted,
      lent,
      remaining: available - granted - lent,
      resetMs: rateWaitMs(held.state, limit, burstOf(limit)),
      retryMs: rateWaitMs(held.state, limit, 1),
      lease: rateLease(held.state, lent),
    };
  }

  private takeQuota(bucket: QuotaBucket['bucket'], { need, ahead, held: unused, lease }: Wish): Grant {
    const { limit } = bucket;
    const wallMs = this.clock.wallMs();
    const settled = settleQuota(this.quotas.get(bucket.name)?.state ?? null, limit, wallMs);
    const { start, used } = endQuotaLease(settled, unused, lease);
    const available = Math.max(0, limit.limit - used);
    const { granted, lent } = portion(available, need, ahead, this.holders());
    const state = { start, used: used + granted + lent };
    this.quotas.set(bucket.name, { bucket, state });
    const remaining = available - granted - lent;
    // after a clock was set back the window that counts is the later one, and ends later than `wallMs` suggests
    const resetMs = Math.max(0, quotaWindow(limit, Math.max(wallMs, start)).end - wallMs);
    return { granted, lent, remaining, resetMs, retryMs: remaining > 0 ? 0 : resetMs, lease: quotaLease(state) };
  }

  private settled({ state, bucket }: RateBucket): RateState {
    return settleRate(state, bucket.limit, this.micros());
  }

  private micros(): number {
    return Math.floor(this.clock.monotonicMs() * 1000);
  }
}
