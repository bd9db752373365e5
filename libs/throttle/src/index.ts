export * from './lease/lease-book.js';
export * from './store/clock.js';
export * from './store/counter-store.js';
export * from './store/local-counter-store.js';
export * from './store/redis-address.js';
export * from './store/redis-client.js';
export * from './store/redis-counter-store.js';
