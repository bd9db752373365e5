import type { LimitPair, PlanLimits, QuotaLimit, RateLimit } from '#model';
import type { Part } from '../source/part.js';
import { Names } from './names.js';

/** `limit` requests in so many seconds. */
export interface Window {
  limit: number;
  seconds: number;
  at: Part;
}

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const MOST = 1_000_000_000;

const NAMED: Partial<Record<number, RateLimit['per']>> = { 1: 'second', [MINUTE]: 'minute', [HOUR]: 'hour' };

/** Of several windows the shortest below a day, which protects what is behind, and the shortest from a day on. */
export function limitsOf(windows: readonly Window[]): LimitPair {
  const limits: LimitPair = { rate: null, quota: null };
  for (const window of [...windows].sort((a, b) => a.seconds - b.seconds)) {
    const { at, seconds } = window;
    const kind = seconds < DAY ? 'rate' : 'quota';
    if (limits[kind]) {
      at.lost(
        `a plan has one rate and one quota, and the shorter ${kind} was taken`,
        'take this one instead if it matters more',
      );
    } else if (kind === 'rate') limits.rate = rateOf(window);
    else limits.quota = quotaOf(window);
  }
  return limits;
}

/** The same average; as many at once as the window had. */
function rateOf({ limit, seconds, at }: Window): RateLimit | null {
  const burst = whole(limit);
  if (burst === null || seconds <= 0) {
    at.lost('no limit is made of it', 'set one in the plan');
    return null;
  }
  const per = NAMED[seconds];
  if (per) return { limit: burst, per };
  const inMinute = (limit * MINUTE) / seconds;
  if (Number.isInteger(inMinute) && inMinute <= MOST) return { limit: inMinute, per: 'minute', burst };
  const inHour = whole((limit * HOUR) / seconds);
  if (inHour !== null) return { limit: inHour, per: 'hour', burst };
  at.lost('a rate is at least one request an hour', 'set a quota in the plan');
  return null;
}

function quotaOf({ limit, seconds, at }: Window): QuotaLimit | null {
  const count = whole(limit);
  const days = seconds / DAY;
  const per = days === 1 ? 'day' : days >= 28 && days <= 31 ? 'month' : null;
  if (count !== null && per) return { limit: count, per };
  at.lost('quotas are of a day or a month of the calendar', 'set the quota in the plan');
  return null;
}

function whole(value: number): number | null {
  const count = Math.floor(value);
  return count >= 1 && count <= MOST ? count : null;
}

export function isUnlimited({ rate, quota }: LimitPair): boolean {
  return rate === null && quota === null;
}

export interface Plan extends PlanLimits {
  id: string;
}

/** The plans of one conversion. Limits that nobody named get one plan, however often they are asked for. */
export class Plans {
  private readonly names = new Names(32, true);
  private readonly plans = new Map<string, Plan>();

  /** @param name of what the limits belong to; else the plan is called by what it says */
  of(limits: PlanLimits, name?: string): string {
    const key = JSON.stringify([name ?? null, limits]);
    const plan = this.plans.get(key) ?? { id: this.names.take(name ?? describe(limits), 'plan'), ...limits };
    this.plans.set(key, plan);
    return plan.id;
  }

  list(): Plan[] {
    return [...this.plans.values()];
  }
}

function describe({ rate, quota, perRoute, perApi }: PlanLimits): string {
  const words: string[] = [];
  if (rate) words.push(`rate-${rate.limit}-${rate.per}`);
  if (quota) words.push(`${rate ? '' : 'quota-'}${quota.limit}-${quota.per}`);
  if (perRoute) words.push('route', describe(perRoute));
  if (perApi) words.push('api', describe(perApi));
  return words.join('-') || 'unlimited';
}
