import type { Logger } from '#platform';
import type { LeaseBook } from '#throttle';
import type { ResponseCache } from '../decide/cache/response-cache.js';
import type { CompiledState } from '../decide/compile/compiled-state.js';
import type { TargetPools } from '../upstream/target-pools.js';
import type { AccessLog } from './access-log.js';
import type { AccessTail } from './access-tail.js';
import type { Limits } from './limits.js';
import type { GatewayMetrics } from './metrics.js';
import type { Tracing } from './trace/tracing.js';

/** What an engine works with. */
export interface EngineParts {
  readonly state: CompiledState;
  readonly leases: LeaseBook;
  readonly pools: TargetPools;
  readonly cache: ResponseCache;
  readonly metrics: GatewayMetrics;
  readonly log: Logger;
  readonly accessLog: AccessLog | null;
  readonly tail: AccessTail;
  readonly tracing: Tracing;
  readonly limits: Limits;
  /** monotonic milliseconds */
  readonly now: () => number;
  /** milliseconds since 1970 */
  readonly wallMs: () => number;
}

/** What all connections of a server share and only the server changes. */
export interface ConnectionHost {
  readonly limits: Limits;
  /** monotonic milliseconds of the last sweep: exact enough for everything that is counted in seconds, and free */
  readonly sweptAt: number;
  /** `Date: ...` with its line end */
  readonly dateLine: string;
  /** how long a connection may be idle; less when it is drained */
  readonly idleMs: number;
  /** connections are closed after their next answer */
  readonly draining: boolean;
  /** monotonic milliseconds: when the drain began; 0: it has not */
  readonly drainedSince: number;
  /** a bug was caught */
  fault(error: unknown, requestId: string | null): void;
}

/** The same of an engine, with what it works with. */
export interface EngineView extends EngineParts, ConnectionHost {}
