import type { QuotaLimit, RateLimit } from '#model';

/** What tokens are counted for: one limit of somebody. */
export type Bucket =
  | { kind: 'rate' /** of whom, unique within the region and the kind */; name: string; limit: RateLimit }
  | { kind: 'quota'; name: string; limit: QuotaLimit };

export interface Wish {
  /** requests that wait: what they are granted counts as spent at once. 0: nobody waits, only the lease is renewed */
  need: number;
  /** tokens that the holder would like to have for later, those that it holds among them */
  ahead: number;
  /** tokens that it still has of the former lease, which ends with this question; 0: none */
  held: number;
  /** as the former grant named it; 0: there was none */
  lease: number;
}

export interface Grant {
  /** tokens for those that wait, at most `need` */
  granted: number;
  /** tokens for later, in the place of those that were held: at most `ahead` and a fair share of what remains */
  lent: number;
  /** tokens left in the bucket for everybody */
  remaining: number;
  /** milliseconds until the bucket is full again (rate), or its window ends (quota): no token may be spent then */
  resetMs: number;
  /** milliseconds until there is a token again; 0 while some are left */
  retryMs: number;
  /** names the new lease; nothing can be read from it */
  lease: number;
  /** the counters were too slow to be waited for: what is not granted may be there, and is worth another question after `retryMs` */
  uncounted?: true;
}

/** A token that was lent must not be spent later than this after the holder asked for it. */
export const LEASE_MS = 1000;

/**
 * Counts the tokens of a region. It is the only one that hands out tokens, which is why no number of racing holders
 * admits more than a limit.
 *
 * - A holder has one lease per bucket, and asks for a bucket once at a time. `take` ends the lease before.
 * - It has to `take` again or `give` within LEASE_MS. A store counts on a lease that did not come back for twice that
 *   time at most: a holder that died costs a rate nothing then. Of a quota, what it was lent counts as spent.
 * - Times in a grant run from when the store answered; a holder compares them with its own clock from when it asked.
 */
export interface CounterStore {
  /** @throws (rejects) when nobody can answer */
  take(bucket: Bucket, wish: Wish): Promise<Grant>;
  /** The holder ends its lease: `unused` tokens come back, of those for requests that waited, too. Never throws. */
  give(bucket: Bucket, unused: number, lease: number): void;
}
