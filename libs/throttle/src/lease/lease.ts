import { type Deferred, deferred } from '#platform';
import { type Bucket, type Grant, LEASE_MS, type Wish } from '../store/counter-store.js';
import { fillMs, type Scope } from './limits.js';

/** For so long a holder is lent tokens ahead, at the rate that it spends them. */
const AHEAD_MS = 100;
/** A holder that spends fewer in that time is lent nothing: its lease would go back unused, and cost a second message. */
const WORTH_LENDING = 2;
/** Tokens that requests waited for are spent so soon after the question, or not at all. */
export const FRESH_MS = 250;
/** The answer that a bucket is empty holds at least so long, so that not each request of an overload asks ... */
const EMPTY_MS = 10;
/** ... unless the bucket would be full before it is asked: it is asked in time for an eighth of it. */
const EMPTY_SHARE = 8;
/** After so many answers in a row that came too late, the store counts as one that cannot be asked. */
const LATE_ANSWERS = 3;
/** How long a store that could not be asked is left alone. */
const UNKNOWN_MS = 1000;

/** Why it is not known whether there are tokens. `late`: the store did not count in time; `silent`: it did not answer */
export type Unknown = 'late' | 'silent';

/** Where one limit stands, as far as its holder knows. */
export interface Gauge {
  readonly scope: Scope;
  readonly bucket: Bucket;
  readonly remaining: number;
  /** @param now monotonic milliseconds @returns milliseconds until the bucket is full again, or its window ends */
  resetMs(now: number): number;
}

/** A part of what is held: tokens that may be spent until a lease ends, for the store holds them back for that time. */
interface Lent {
  tokens: number;
  until: number;
  /** as the store named it; 0: there is none */
  name: number;
  /** the store holds a rate back for it until it is told that the lease has ended */
  owes: boolean;
}

const none = (): Lent => ({ tokens: 0, until: 0, name: 0, owes: false });

/**
 * The tokens of one bucket that one process holds. All times are of its monotonic clock, in milliseconds.
 *
 * A question ends a lease, and what it hands over cannot be spent while the answer is under way. So there are two leases,
 * and a question ends the older one, which is spent by then, or nearly.
 *
 *   former, lent   spent first
 *   loose          those of requests that waited. The store takes them for spent, and the bucket fills up again behind them:
 *                  they are soon worth nothing
 */
export class Lease implements Gauge {
  private former = none();
  private lent = none();
  private loose = 0;
  private looseUntil = 0;
  /** the lease that came with them */
  private looseName = 0;
  /** at so many tokens it is time to ask for more; -1: not before a request has to wait */
  private low = -1;
  /** when it was granted */
  private askedAt = 0;
  /** tokens spent since `measuredAt`, and about how many in AHEAD_MS before that */
  private spent = 0;
  private level = 0;
  measuredAt: number;
  /** of the store's last answer */
  private left = 0;
  private resetAt: number;
  /** since when the store has said that there is nothing; null: it has not */
  private emptySince: number | null = null;
  /** it is known until then that there is nothing, and the store is not asked */
  emptyUntil = 0;
  /** when there is said to be a token again */
  retryAt = 0;
  unknown: Unknown | null = null;
  private late = 0;
  /** settles when the question that is under way does */
  asking: Deferred<void> | null = null;
  /** requests that the question asks for which is put at the end of this turn */
  private waiting = 0;
  private gathers = false;

  constructor(
    readonly scope: Scope,
    public bucket: Bucket,
    now: number,
  ) {
    this.measuredAt = now;
    this.resetAt = now;
  }

  /** Goes over to what a changed plan says. What was lent stays lent. */
  follow(bucket: Bucket): void {
    if (bucket.limit === this.bucket.limit) return;
    if (!sameLimit(this.bucket, bucket)) {
      this.emptyUntil = 0; // there may be tokens where there were none
      this.emptySince = null;
    }
    this.bucket = bucket;
  }

  /** Whether a token can be spent. */
  has(now: number): boolean {
    const { lent, former } = this;
    return (
      (lent.tokens > 0 && now < lent.until) ||
      (former.tokens > 0 && now < former.until) ||
      (this.loose > 0 && now < this.looseUntil)
    );
  }

  /** Spends a token, after `has`. @returns whether it is time to ask for more */
  use(now: number): boolean {
    this.spent += 1;
    if (this.loose > 0 && now < this.looseUntil) this.loose -= 1;
    else if (this.former.tokens > 0 && now < this.former.until) this.former.tokens -= 1;
    else this.lent.tokens -= 1;
    return this.asking === null && this.held <= this.low;
  }

  private get held(): number {
    return this.former.tokens + this.lent.tokens + this.loose;
  }

  get remaining(): number {
    return this.left + this.held;
  }

  resetMs(now: number): number {
    return Math.max(0, this.resetAt - now);
  }

  /** Whether there is something to be given back. */
  get holds(): boolean {
    return this.held > 0 || this.lent.owes || this.former.owes;
  }

  /** Whether nothing is lent, and tokens are left that nobody waited for in the end. */
  get isLeftOver(): boolean {
    return this.held === this.loose && this.loose > 0 && this.asking === null;
  }

  /** How long ago it was granted. */
  age(now: number): number {
    return now - this.askedAt;
  }

  /** Begins a question, which is put a little later: those that wait by then are in it. */
  begin(): Deferred<void> {
    this.asking = deferred();
    this.gathers = true;
    return this.asking;
  }

  /** A request waits. Where a question is under way it is not in it, and may have to wait for the next one. */
  join(): void {
    if (this.gathers) this.waiting += 1;
  }

  /** What the store is asked for. Ends a lease: the former one, where what was lent since can be spent yet. */
  wish(now: number): Wish {
    this.measure(now);
    let ended = this.former;
    const isOver = !ended.owes && ended.tokens === 0;
    if (isOver && (this.lent.tokens === 0 || now >= this.lent.until)) {
      ended = this.lent;
      this.former = none();
    } else this.former = this.lent;
    this.lent = none();
    const held = ended.tokens + (ended.name === this.looseName ? this.loose : 0);
    const ahead = this.level >= WORTH_LENDING ? Math.max(0, Math.floor(this.level) - this.former.tokens) : 0;
    const wish = { need: this.waiting, ahead, held, lease: ended.name };
    this.loose = 0;
    this.low = -1;
    this.waiting = 0;
    this.gathers = false;
    this.askedAt = now;
    return wish;
  }

  /** @param need as it was asked for */
  receive(grant: Grant, need: number, now: number): void {
    const { askedAt, bucket } = this;
    const until = askedAt + (bucket.kind === 'quota' ? Math.min(LEASE_MS, grant.resetMs) : LEASE_MS);
    this.lent = { tokens: grant.lent, until, name: grant.lease, owes: grant.lent > 0 && bucket.kind === 'rate' };
    this.loose = grant.granted;
    this.looseUntil = Math.min(askedAt + FRESH_MS, until);
    this.looseName = grant.lease;
    const later = this.lent.tokens + this.former.tokens;
    this.low = grant.lent >= WORTH_LENDING ? later >> 1 : -1;
    this.left = grant.remaining;
    this.resetAt = askedAt + grant.resetMs;
    this.unknown = null;
    this.late = now - askedAt > FRESH_MS ? this.late + 1 : 0;
    if (this.late >= LATE_ANSWERS) this.fail(now);
    else if (grant.uncounted) this.missCount(grant, need, now);
    else this.learn(grant, need, now);
  }

  /** The store could not be asked. What was handed over is lost: rather too few are spent than too many. */
  fail(now: number): void {
    this.late = 0;
    this.unknown = 'silent';
    this.retryAt = this.emptyUntil = now + UNKNOWN_MS;
  }

  /** Gives all of it back. */
  release(give: (unused: number, lease: number) => void): void {
    for (const { tokens, name, owes } of [this.former, this.lent]) {
      const unused = tokens + (name === this.looseName ? this.loose : 0);
      if (owes || unused > 0) give(unused, name);
    }
    this.former = none();
    this.lent = none();
    this.loose = 0;
    this.low = -1;
  }

  /** The store was too slow. Those that it could not be asked for are refused, and for a moment all others; then it is asked again. */
  private missCount({ granted, retryMs }: Grant, need: number, now: number): void {
    if (granted >= need) return;
    this.unknown = 'late';
    this.retryAt = this.emptyUntil = now + retryMs;
  }

  private learn({ granted, retryMs }: Grant, need: number, now: number): void {
    if (retryMs === 0 && granted >= need) {
      this.emptySince = null;
      this.emptyUntil = 0;
      return;
    }
    this.emptySince ??= now;
    this.retryAt = this.askedAt + retryMs;
    // Others may hold tokens yet which they do not use: they have come back when a lease has ended, and then it is true.
    const until = now - this.emptySince < LEASE_MS ? Math.min(this.retryAt, now + LEASE_MS) : this.retryAt;
    const least = Math.max(1, Math.min(EMPTY_MS, fillMs(this.bucket) / EMPTY_SHARE));
    this.emptyUntil = Math.max(until, now + least);
  }

  /** An average that forgets with AHEAD_MS, and is not misled by a few requests that come at the same time. */
  private measure(now: number): void {
    const elapsed = Math.max(1, now - this.measuredAt);
    const kept = Math.exp(-elapsed / AHEAD_MS);
    this.level = this.level * kept + (1 - kept) * this.spent * (AHEAD_MS / elapsed);
    this.spent = 0;
    this.measuredAt = now;
  }
}

function sameLimit(a: Bucket, b: Bucket): boolean {
  if (a.limit.limit !== b.limit.limit || a.limit.per !== b.limit.per) return false;
  return a.kind !== 'rate' || b.kind !== 'rate' || a.limit.burst === b.limit.burst;
}
