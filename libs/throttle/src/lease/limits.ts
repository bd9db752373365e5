import type { LimitPair, QuotaLimit, RateLimit } from '#model';

/** What a plan limits, as requests are counted against it. Made once per plan: another object is another plan. */
export interface Limits {
  /** the plan's id */
  plan: string;
  /** for each consumer */
  consumer: LimitPair;
  /** for each consumer on each route; null: nothing */
  route: LimitPair | null;
  /** for all consumers of the plan together, on each API; null: nothing */
  api: LimitPair | null;
}

/** Whose tokens a request takes. */
export interface Claim {
  /** a subscription, or `c:<api>:<address>`: of one API in any case */
  consumer: string;
  /** `weather:v1` */
  api: string;
  /** names the route within its API, in each release that has it */
  route: string;
}

export type Scope = 'consumer' | 'route' | 'api';

export type Limit = { kind: 'rate'; limit: RateLimit } | { kind: 'quota'; limit: QuotaLimit };

/** The limits of a scope: the rate first. */
export function limitsIn(pair: LimitPair | null): Limit[] {
  const limits: Limit[] = [];
  if (pair?.rate) limits.push({ kind: 'rate', limit: pair.rate });
  if (pair?.quota) limits.push({ kind: 'quota', limit: pair.quota });
  return limits;
}

const PERIOD_MS = { second: 1000, minute: 60_000, hour: 3_600_000 } as const satisfies Record<RateLimit['per'], number>;

/** In how many milliseconds an empty bucket is full again; 0 of a quota. */
export function fillMs({ kind, limit }: Limit): number {
  return kind === 'rate' ? (PERIOD_MS[limit.per] / limit.limit) * (limit.burst ?? limit.limit) : 0;
}
