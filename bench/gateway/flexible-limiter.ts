import { Redis } from 'ioredis';
import { RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible';
import type { FlexibleLimits } from './replica.js';

/** @returns milliseconds until the consumer may ask again; 0: it may go on now @throws (rejects) when Redis cannot be asked */
export type FlexibleLimiter = (consumer: string) => Promise<number>;

/**
 * `RateLimiterRedis` as its documentation shows it: a question to Redis for each request and limit. Several limits are asked at
 * the same time and each counts what another one refused, as the package's own `RateLimiterUnion` has it.
 */
export function flexibleLimiter({ redis, limits, remember }: FlexibleLimits): FlexibleLimiter {
  const storeClient = new Redis(redis);
  const limiters = limits.map(({ points, duration }) => {
    const blocked = remember ? { inMemoryBlockOnConsumed: points } : {};
    return new RateLimiterRedis({ storeClient, keyPrefix: `flexible-${duration}`, points, duration, ...blocked });
  });
  return async (consumer) => {
    const waits = await Promise.all(limiters.map((limiter) => limiter.consume(consumer).then(() => 0, refused)));
    return Math.max(...waits);
  };
}

/** It rejects with its result where the limit is used up, and with an error where it could not ask. */
function refused(reason: RateLimiterRes | Error): number {
  if (reason instanceof Error) throw reason;
  return Math.max(1, reason.msBeforeNext);
}
