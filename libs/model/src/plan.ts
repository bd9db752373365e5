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

/** What one bucket each is kept of, in each region. `null` is no limit. */
export const limitPair = z.strictObject({
  rate: rateLimit.nullable().default(null),
  quota: quotaLimit.nullable().default(null),
});
export type LimitPair = z.infer<typeof limitPair>;

/**
 * Limits of a plan. Its own hold for each consumer: a subscription, or a client's address where a route is open. A request
 * takes of all of them or of none.
 */
export const planLimits = limitPair.extend({
  /** for each consumer on each route */
  perRoute: limitPair.optional(),
  /** for all consumers of this plan together, on each API */
  perApi: limitPair.optional(),
});
export type PlanLimits = z.infer<typeof planLimits>;
