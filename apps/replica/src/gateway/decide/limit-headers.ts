import type { Gauge, Limits } from '#throttle';

const RATE_SECONDS = { second: 1, minute: 60, hour: 3600 } as const;

/**
 * `RateLimit-Policy` of the IETF draft (httpapi-ratelimit-headers, structured fields); null without limits. A month has
 * no fixed number of seconds, so its window is left out, which the draft allows.
 */
export function policyHeader(limits: Limits): string | null {
  const items: string[] = [];
  if (limits.rate) items.push(`"rate";q=${limits.rate.limit};w=${RATE_SECONDS[limits.rate.per]}`);
  if (limits.quota) items.push(`"quota";q=${limits.quota.limit}${limits.quota.per === 'day' ? ';w=86400' : ''}`);
  return items.length > 0 ? items.join(', ') : null;
}

/** `RateLimit`: what is left of each limit, and in how many seconds it is whole again. */
export function limitHeader(rate: Gauge | null, quota: Gauge | null): string {
  if (rate === null) return quota === null ? '' : item('quota', quota);
  return quota === null ? item('rate', rate) : `${item('rate', rate)}, ${item('quota', quota)}`;
}

function item(name: string, gauge: Gauge): string {
  return `"${name}";r=${gauge.remaining};t=${Math.ceil(gauge.resetMs / 1000)}`;
}

/** One sentence for a 429: which limit of which plan. */
export function limitText(plan: string, limits: Limits, by: 'rate' | 'quota'): string {
  const limit = limits[by];
  const burst = by === 'rate' && limits.rate?.burst !== undefined ? `, ${limits.rate.burst} at once` : '';
  return `the ${by} of the plan ${plan}, ${limit?.limit} requests per ${limit?.per}${burst}`;
}
