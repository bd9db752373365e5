import { z } from 'zod';

const count = z
  .int('must be a whole number')
  .min(1, 'must be at least 1')
  .max(1_000_000_000, 'must be at most 1000000000');

/** `limit` requests per period on average, `burst` of them at once (default: `limit`). */
export const rateLimit = z.strictObject({
  limit: count,
  per: z.enum(['second', 'minute', 'hour'], 'must be second, minute or hour'),
  burst: count.optional(),
});

/** `limit` requests in a calendar window, UTC. */
export const quotaLimit = z.strictObject({
  limit: count,
  per: z.enum(['day', 'month'], 'must be day or month'),
});

export type RateLimit = z.infer<typeof rateLimit>;
export type QuotaLimit = z.infer<typeof quotaLimit>;

/** Limits of a plan; both hold per subscription and per region. `null` is no limit. */
export const planLimits = z.strictObject({
  rate: rateLimit.nullable().default(null),
  quota: quotaLimit.nullable().default(null),
});
