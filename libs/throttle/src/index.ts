export {
  DAY_MS,
  quotaWindow,
  settleQuota,
} from './algorithm/quota.js';
export {
  availableTokens,
  burstOf,
  newRateState,
  type RateState,
  settleRate,
  SLICE_MICROS,
  TICK_MICROS,
  UNITS_PER_TOKEN,
} from './algorithm/rate.js';
export * from './lease/lease-book.js';
export type { Gauge } from './lease/lease.js';
export * from './lease/limits.js';
export * from './store/bucket-state.js';
export * from './store/clock.js';
export * from './store/counter-store.js';
export * from './store/local-counter-store.js';
export * from './store/redis-address.js';
export * from './store/redis-client.js';
export * from './store/redis-counter-store.js';
