import { settleQuota, quotaWindow, type QuotaState } from '../algorithm/quota.js';
import {
  availableTokens,
  burstOf,
  chargeRate,
  newRateState,
  rateWaitMs,
  settleRate,
  type RateState,
} from '../algorithm/rate.js';
import type { Clock } from './clock.js';
import type { BucketSpec, CounterStore, Grant } from './counter-store.js';

/**
 * What is lent ahead to one holder: a 32nd of what remains. A limit whose bucket holds fewer is counted exactly, request
 * by request; a larger one is refused early by at most a 32nd per holder, which is what idle holders may keep.
 */
const LENT_SHARE = 32;
const MAX_LENT = 1000;

interface RateBucket {
  spec: BucketSpec & { kind: 'rate' };
  state: RateState;
  /** tokens lent, by holder; null: none */
  lent: Map<string, number> | null;
}

interface QuotaBucket {
  spec: BucketSpec & { kind: 'quota' };
  state: QuotaState;
}

/** Counters in the memory of one process, for a region of one replica. Its methods do not wait for anything. */
export class LocalCounterStore {
  private readonly rates = new Map<string, RateBucket>();
  private readonly quotas = new Map<string, QuotaBucket>();
  private quotasSwept = 0;

  constructor(private readonly clock: Clock) {}

  /** The store as one holder sees it. */
  holder(name: string): CounterStore {
    return {
      take: (bucket, want) => Promise.resolve(this.take(name, bucket, want)),
      give: (bucket, unused, window) => this.give(name, bucket, unused, window),
    };
  }

  take(holder: string, bucket: BucketSpec, want: number): Grant {
    return bucket.kind === 'rate' ? this.takeRate(holder, bucket, want) : this.takeQuota(bucket, want);
  }

  give(holder: string, bucket: BucketSpec, unused: number, window: number): void {
    if (bucket.kind === 'rate') this.giveRate(holder, bucket, unused);
    else this.giveQuota(bucket, unused, window);
  }

  /** A holder is gone: what it was lent counts as spent, for nobody knows. */
  forget(holder: string): void {
    for (const bucket of this.rates.values()) {
      this.settle(bucket);
      lend(bucket, holder, 0);
    }
  }

  /** Drops what is as good as new: full buckets, and windows that have ended. To be called now and then. */
  sweep(): void {
    for (const [name, bucket] of this.rates) {
      this.settle(bucket);
      if (bucket.state.debt === 0) this.rates.delete(name);
    }
    const today = quotaWindow({ limit: 1, per: 'day' }, this.clock.wallMs()).start;
    if (today === this.quotasSwept) return; // windows end with days, and there may be a bucket for every subscription
    this.quotasSwept = today;
    for (const [name, { spec, state }] of this.quotas) {
      if (quotaWindow(spec.limit, state.start).end <= today) this.quotas.delete(name);
    }
  }

  /** Buckets in memory. */
  get size(): number {
    return this.rates.size + this.quotas.size;
  }

  private takeRate(holder: string, spec: RateBucket['spec'], want: number): Grant {
    const bucket = this.rates.get(spec.subscription) ?? { spec, state: newRateState(this.micros()), lent: null };
    this.rates.set(spec.subscription, bucket);
    // by the limit that held until now: a plan that changes does not change the past
    this.settle(bucket);
    bucket.spec = spec;
    lend(bucket, holder, 0);
    const available = availableTokens(bucket.state, spec.limit);
    const { granted, lent } = portion(available, want);
    bucket.state = chargeRate(bucket.state, granted);
    lend(bucket, holder, lent);
    return {
      granted,
      remaining: available - granted,
      resetMs: rateWaitMs(bucket.state, spec.limit, burstOf(spec.limit)),
      retryMs: rateWaitMs(bucket.state, spec.limit, 1),
      window: 0,
    };
  }

  private takeQuota(spec: QuotaBucket['spec'], want: number): Grant {
    const wallMs = this.clock.wallMs();
    const state = settleQuota(this.quotas.get(spec.subscription)?.state ?? null, spec.limit, wallMs);
    const available = Math.max(0, spec.limit.limit - state.used);
    const { granted } = portion(available, want);
    this.quotas.set(spec.subscription, { spec, state: { start: state.start, used: state.used + granted } });
    const remaining = available - granted;
    // after a clock was set back the window that counts is the later one, and ends later than `wallMs` suggests
    const resetMs = Math.max(0, quotaWindow(spec.limit, Math.max(wallMs, state.start)).end - wallMs);
    return { granted, remaining, resetMs, retryMs: remaining > 0 ? 0 : resetMs, window: state.start };
  }

  private giveRate(holder: string, spec: RateBucket['spec'], unused: number): void {
    const bucket = this.rates.get(spec.subscription);
    if (!bucket) return;
    this.settle(bucket);
    lend(bucket, holder, 0);
    bucket.state = chargeRate(bucket.state, -unused);
  }

  private giveQuota(spec: QuotaBucket['spec'], unused: number, window: number): void {
    const state = this.quotas.get(spec.subscription)?.state;
    if (state?.start === window) state.used = Math.max(0, state.used - unused);
  }

  private settle(bucket: RateBucket): void {
    let lent = 0;
    for (const tokens of bucket.lent?.values() ?? []) lent += tokens;
    bucket.state = settleRate(bucket.state, bucket.spec.limit, lent, this.micros());
  }

  private micros(): number {
    return Math.floor(this.clock.monotonicMs() * 1000);
  }
}

function portion(available: number, want: number): { granted: number; lent: number } {
  if (available <= want) return { granted: available, lent: 0 };
  const lent = Math.min(MAX_LENT, Math.floor((available - want) / LENT_SHARE));
  return { granted: want + lent, lent };
}

function lend(bucket: RateBucket, holder: string, tokens: number): void {
  if (tokens > 0) (bucket.lent ??= new Map()).set(holder, tokens);
  else if (bucket.lent?.delete(holder) && bucket.lent.size === 0) bucket.lent = null;
}
