export * from './backoff.js';
export * from './canonical-json.js';
export * from './config.js';
export * from './deferred.js';
export * from './log.js';
export * from './problem.js';
export * from './process-lock.js';
export * from './shutdown.js';
