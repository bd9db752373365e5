import { z } from 'zod';
import { apiId } from './ids.js';

/*
 * What a replica tells of requests that it has counted, an hour at a time. Counts of one series only grow, and the
 * greatest that was told is the one that counts: a report may come twice, late, or not in order.
 */

export const USAGE_LIMITS = {
  /** counts, keys and clients in one report, each */
  entries: 500,
  /** hours that a replica keeps for a master that does not take them */
  keptHours: 40 * 24,
  /** hours before which a master takes nothing any more: longer than replicas keep them */
  oldestHours: 45 * 24,
} as const;

export const HOUR_MS = 3_600_000;

const uuid = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'must be a UUID in lower case');
const count = z.int().min(0);
const chainId = z.string().regex(/^[0-9a-f]{32}$/, 'must be 16 bytes in hexadecimal');

const usageCount = z
  .strictObject({
    /** null, as the application: of an API that is open */
    subscription: uuid.nullable(),
    application: uuid.nullable(),
    api: apiId,
    admitted: count,
    /** refused by the plan's rate, and by its quota */
    rateLimited: count,
    quotaExhausted: count,
  })
  .refine(({ subscription, application }) => (subscription === null) === (application === null), {
    message: 'subscription and application are both named, or neither is',
  });
export type UsageCount = z.infer<typeof usageCount>;

export const usageReport = z.strictObject({
  /** of one run of a replica: another run begins at 0 under another name */
  series: uuid,
  /** hours since 1970, UTC */
  hour: z.int().min(0).max(10_000_000),
  counts: z.array(usageCount).max(USAGE_LIMITS.entries),
  /** keys, and clients whose tokens, were used in the hour: their ids on the chain */
  keys: z.array(chainId).max(USAGE_LIMITS.entries),
  clients: z.array(chainId).max(USAGE_LIMITS.entries),
});
export type UsageReport = z.infer<typeof usageReport>;

/** Why a report is not kept: its hour is still to come, or was too long ago. By the clock of the master's database. */
export const USAGE_REFUSALS = ['future_hour', 'too_old'] as const;
export const usageAnswer = z.strictObject({ refused: z.enum(USAGE_REFUSALS).nullable() });
export type UsageAnswer = z.infer<typeof usageAnswer>;
