import type { Logger } from '#platform';
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

/** Requests go to it or not, other than before. @param reason of the failure; null: it is asked again */
export function reportSuspension(log: Logger, place: Place, reason: string | null): void {
  const { ejected, breakerOpen } = place.health;
  const what = { ...nameOf(place), ejected, breakerOpen };
  if (reason === null) log.info(what, 'a target is asked again');
  else if (place.only && !breakerOpen)
    log.warn({ ...what, reason }, 'a target fails; it is still asked, as the API has no other here');
  else log.warn({ ...what, reason }, 'a target fails, and is left alone for a while');
}

/** The first failure after good answers. */
export function reportFailure(log: Logger, place: Place, reason: string): void {
  log.warn({ ...nameOf(place), reason }, 'a request to a target failed; more are told of when it has answered again');
}

function nameOf({ target: { origin, path }, upstream: { api } }: Place): { api: string; target: string } {
  return { api, target: origin + path };
}

function trouble({ health, down }: Place): number {
  return health.failures + (down || health.ejected ? 1 : 0);
}
