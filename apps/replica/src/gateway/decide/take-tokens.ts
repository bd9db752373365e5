import type { Claim, Limits, Spending } from '#throttle';
import type { CompiledPlan } from './compile/records.js';
import type { Respond, Wait } from './decision.js';
import { limitHeader, limitMembers, limitText } from './limit-headers.js';
import type { Reply } from './reply.js';

/** Where tokens come from: a lease book, or nowhere for those who only ask. */
export interface Limiter {
  spend(limits: Limits, claim: Claim): Spending;
  /** after `wait` */
  fetch(limits: Limits, claim: Claim): Promise<void>;
}

/** Counts nothing and refuses nothing. */
export const UNLIMITED: Limiter = {
  spend: () => ({ kind: 'spent', gauges: [], now: 0 }),
  fetch: () => Promise.resolve(),
};

/** Takes a token of each limit of the plan, or of none, and tells the caller where they stand. Null: the request may go on. */
export function takeTokens(plan: CompiledPlan, claim: Claim, limiter: Limiter, reply: Reply): Respond | Wait | null {
  if (plan.policy === null) return null;
  const { limits } = plan;
  const spending = limiter.spend(limits, claim);
  if (spending.kind === 'wait') return { kind: 'wait', fetch: () => limiter.fetch(limits, claim) };
  const { gauges, now } = spending;
  if (gauges.length > 0) reply.headers.push('RateLimit-Policy', plan.policy, 'RateLimit', limitHeader(gauges, now));
  return spending.kind === 'spent' ? null : refuse(plan.id, spending, reply);
}

/** of `Spending`: of whom an operator has to look after */
const UNCOUNTED = {
  late: 'could not be counted in time',
  silent: "could not be counted: this replica's counters do not answer",
};

function refuse(plan: string, { by, retryMs, unknown }: Spending & { kind: 'refused' }, reply: Reply): Respond {
  const seconds = Math.max(1, Math.ceil(retryMs / 1000));
  const limit = limitText(plan, by);
  const detail = unknown
    ? `${limit}, ${UNCOUNTED[unknown]}`
    : `${limit}, is used up; the next request is admitted in ${seconds} s`;
  const code = by.bucket.kind === 'rate' ? 'rate_limited' : 'quota_exhausted';
  return reply.refuse(code, detail, ['Retry-After', String(seconds)], limitMembers(plan, by));
}
