import {
  type Bucket,
  burstOf,
  type LocalCounterStore,
  newRateState,
  quotaWindow,
  readQuotaState,
  readRateState,
  settleQuota,
  settleRate,
  SLICE_MICROS,
  UNITS_PER_TOKEN,
} from '#throttle';
import { partOf, type Share } from './fair-share.js';

/** What this node knows of a bucket, beside what the region's Redis does. */
export interface KnownBucket {
  bucket: Bucket;
  /** its state as Redis last told it; '': never */
  seen: string;
  /** that it was told in; in another one Redis may have become another server */
  era: number;
  /** tokens that were admitted here without Redis, and are owed to it; a quota's below 0 come back */
  spent: number;
  /** the first millisecond of the quota window in which they were */
  spentIn: number;
  /** tokens that were admitted while questions are not answered yet, and are set off against the answers */
  uncounted: number;
  /** monotonic milliseconds */
  usedAt: number;
}

/**
 * Begins a bucket of this node's own, with its part of what remained in the region's when that was last seen.
 *
 * @param own the bucket with this node's part of the limit
 * @param now microseconds of the region's clock
 */
export function seedLocal(local: LocalCounterStore, own: Bucket, known: KnownBucket, share: Share, now: number): void {
  const { bucket, seen } = known;
  if (own.kind === 'rate' && bucket.kind === 'rate') {
    const last = readRateState(seen);
    const state = newRateState(now);
    if (last) {
      if (last.state.at > now) Object.assign(last.state, { at: now, slice: Math.floor(now / SLICE_MICROS) });
      const settled = settleRate(last.state, last.limit, now);
      const left = Math.max(0, burstOf(bucket.limit) * UNITS_PER_TOKEN - settled.debt);
      state.debt = Math.max(0, burstOf(own.limit) * UNITS_PER_TOKEN - partOf(left, bucket.name, share));
      state.slice = settled.slice;
      state.lent = partOf(settled.lent, bucket.name, share);
      state.lentBefore = partOf(settled.lentBefore, bucket.name, share);
    }
    state.debt += Math.max(0, known.spent) * UNITS_PER_TOKEN;
    local.putRate(own, state);
  } else if (own.kind === 'quota' && bucket.kind === 'quota') {
    const { start, used } = settleQuota(readQuotaState(seen), bucket.limit, Math.floor(now / 1000));
    const left = partOf(Math.max(0, bucket.limit.limit - used), bucket.name, share);
    if (known.spentIn !== start) Object.assign(known, { spent: 0, spentIn: start });
    local.putQuota(own, { start, used: Math.max(0, own.limit.limit - left + known.spent) });
  }
}

/** Whether nothing is lost when it is forgotten: nothing is owed, and what was seen has been paid by time, or has ended. */
export function isSpent(
  kind: Bucket['kind'],
  { seen, spent, spentIn }: Pick<KnownBucket, 'seen' | 'spent' | 'spentIn'>,
  now: number,
): boolean {
  if (kind === 'quota') {
    // of a day's window, too: a plan may become one of months while it runs
    const ends = (start: number): number => quotaWindow({ limit: 1, per: 'month' }, start).end;
    return now / 1000 >= Math.max(ends(readQuotaState(seen)?.start ?? 0), spent === 0 ? 0 : ends(spentIn));
  }
  const last = readRateState(seen);
  return last === null || settleRate(last.state, last.limit, now).debt === 0;
}

/**
 * What is owed after a question that failed. A server that refuses has charged nothing. One that broke off may have: then tokens
 * are charged twice rather than not at all, and what was to come back does not come back twice.
 */
export function stillOwed(spent: number, error: unknown): number {
  return error instanceof Error && error.name === 'ReplyError' ? spent : Math.max(0, spent);
}
