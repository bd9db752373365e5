import type { Logger } from '#platform';
import type { LeaseBook } from '#throttle';
import type { ResponseCache } from '../decide/cache/response-cache.js';
import type { CompiledState } from '../decide/compile/compiled-state.js';
import type { TargetPools } from '../upstream/target-pools.js';
import type { AccessLog } from './access-log.js';
import type { Limits } from './limits.js';
import type { GatewayMetrics } from './metrics.js';

/** What an engine works with. */
export interface EngineParts {
  readonly state: CompiledState;
  readonly leases: LeaseBook;
  readonly pools: TargetPools;
  readonly cache: ResponseCache;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly accessLog: AccessLog | null;
  readonly limits: Limits;
  /** monotonic milliseconds */
  readonly now: () => number;
  /** milliseconds since 1970 */
  readonly wallMs: () => number;
}

/** What all connections of an engine share and only the engine changes. */
export interface EngineView extends EngineParts {
  /** monotonic milliseconds of the last sweep: exact enough for everything that is counted in seconds, and free */
  readonly sweptAt: number;
  /** `Date: ...` with its line end */
  readonly dateLine: string;
  /** how long a connection may be idle; less when it is drained */
  readonly idleMs: number;
  /** connections are closed after their next answer */
  readonly draining: boolean;
  /** a bug was caught */
  fault(error: unknown, requestId: string | null): void;
}
