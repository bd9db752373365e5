export * from './lease/lease-book.js';
export type { Gauge } from './lease/lease.js';
export * from './lease/limits.js';
export * from './store/clock.js';
export * from './store/counter-store.js';
export * from './store/local-counter-store.js';
export * from './store/redis-address.js';
export * from './store/redis-client.js';
export * from './store/redis-counter-store.js';
