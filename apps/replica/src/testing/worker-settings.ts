import { LIMITS } from '../gateway/engine/limits.js';
import { NOT_TRACED } from '../gateway/engine/trace/tracing.js';
import type { WorkerSettings } from '../gateway/pool-options.js';

/** Two workers that keep no answers, log no requests and record no spans. */
export const WORKER_SETTINGS: WorkerSettings = {
  workers: 2,
  accessLog: 0,
  cacheBytes: 0,
  limits: LIMITS,
  traces: { sampler: NOT_TRACED, url: null, headers: {}, resource: {} },
  certificates: null,
};
