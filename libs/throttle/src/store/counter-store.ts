import type { QuotaLimit, RateLimit } from '#model';

/** One limit of one subscription: what tokens are counted for. */
export type BucketSpec =
  | { kind: 'rate' /** the subscription's id */; subscription: string; limit: RateLimit }
  | { kind: 'quota'; subscription: string; limit: QuotaLimit };

export interface Grant {
  /** may be more than was wanted: the rest is lent, so that the next requests need not ask */
  granted: number;
  /** tokens left in the bucket for everybody */
  remaining: number;
  /** milliseconds until the bucket is full again (rate), or its window ends (quota) */
  resetMs: number;
  /** milliseconds until there is a token again; 0 while some are left */
  retryMs: number;
  /** which calendar window the tokens belong to, to be named when they are given back; 0 for rates */
  window: number;
}

/**
 * Counts the tokens of a region, as one of its holders sees it. It is the only one that hands out tokens, which is why
 * no number of racing holders admits more than a limit.
 *
 * - Tokens for requests that wait count as spent when they are granted; those beyond are lent.
 * - A holder asks for a bucket again when it has spent what it was lent, and once at a time.
 * - Times in a grant run from when the store answered; a holder compares them with its own clock from when it asked.
 */
export interface CounterStore {
  /** @param want requests that wait, at least 1 @throws (rejects) when the store cannot be asked */
  take(bucket: BucketSpec, want: number): Promise<Grant>;
  /** The holder ends its lease: `unused` tokens come back, unless `window` has ended. */
  give(bucket: BucketSpec, unused: number, window: number): void;
}
