import type { Place } from './place.js';

/** Targets that one report may tell of, those in trouble first: there may be tens of thousands. */
const MOST = 500;

/** What a worker knows of a target of an API. */
export interface TargetReport {
  api: string;
  /** `https://host:port/path` */
  target: string;
  /** neither ejected, nor failed by its checks, nor barred by its breaker */
  healthy: boolean;
  breaker: 'closed' | 'open' | 'half-open';
  /** since it was last told */
  failures: number;
  /** requests under way, of all APIs that share its connections */
  outstanding: number;
  connections: number;
}

/** @param places by API */
export function reportTargets(places: Iterable<readonly [string, Place]>, now: number): TargetReport[] {
  const all = [...places];
  const told = all.length <= MOST ? all : all.sort(([, a], [, b]) => trouble(b) - trouble(a)).slice(0, MOST);
  return told.map(([api, { target, health, pool, down }]) => {
    const breaker = health.breakerState(now);
    return {
      api,
      target: target.origin + target.path,
      healthy: !down && !health.ejected && breaker === 'closed',
      breaker,
      failures: health.takeFailures(),
      outstanding: pool.outstanding,
      connections: pool.size,
    };
  });
}

function trouble({ health, down }: Place): number {
  return health.failures + (down || health.ejected ? 1 : 0);
}
