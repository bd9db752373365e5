import { type Gauge, type Limit, type Limits, limitsIn, type Scope } from '#throttle';

const RATE_SECONDS = { second: 1, minute: 60, hour: 3600 } as const;

/** Names of limits, for callers. */
const NAMES: Record<Scope, Record<Limit['kind'], string>> = {
  consumer: { rate: 'rate', quota: 'quota' },
  route: { rate: 'route-rate', quota: 'route-quota' },
  api: { rate: 'api-rate', quota: 'api-quota' },
};

const PLACES: Record<Scope, string> = { consumer: '', route: ' for this route', api: ' for the whole API' };

/**
 * `RateLimit-Policy` of the IETF draft (httpapi-ratelimit-headers-10, a List of Strings with parameters); null without
 * limits. A month has no fixed number of seconds, so its window is left out, which the draft allows.
 */
export function policyHeader({ consumer, route, api }: Limits): string | null {
  const items: string[] = [];
  for (const [scope, pair] of [['consumer', consumer] as const, ['api', api] as const, ['route', route] as const])
    for (const limit of limitsIn(pair)) items.push(policyItem(scope, limit));
  return items.length > 0 ? items.join(', ') : null;
}

function policyItem(scope: Scope, { kind, limit }: Limit): string {
  const window = kind === 'rate' ? RATE_SECONDS[limit.per] : limit.per === 'day' ? 86_400 : null;
  return `"${NAMES[scope][kind]}";q=${limit.limit}${window === null ? '' : `;w=${window}`}`;
}

/** `RateLimit`: what is left of each limit, and in how many seconds it is whole again. @param now as of the gauges */
export function limitHeader(gauges: readonly Gauge[], now: number): string {
  let text = '';
  for (const gauge of gauges) {
    const item = `"${nameOf(gauge)}";r=${gauge.remaining};t=${Math.ceil(gauge.resetMs(now) / 1000)}`;
    text = text === '' ? item : `${text}, ${item}`;
  }
  return text;
}

/** One sentence for a 429: which limit of which plan. */
export function limitText(plan: string, { scope, bucket }: Gauge): string {
  const { kind, limit } = bucket;
  const burst = kind === 'rate' && limit.burst !== undefined ? `, ${limit.burst} at once` : '';
  const requests = limit.limit === 1 ? '1 request' : `${limit.limit} requests`;
  return `the ${kind} of the plan ${plan}${PLACES[scope]}, ${requests} per ${limit.per}${burst}`;
}

/** The same for programs, as members of the problem document: JSON that begins with a comma. */
export function limitMembers(plan: string, gauge: Gauge): string {
  const { kind, limit } = gauge.bucket;
  const said = { plan, scope: gauge.scope, kind, limit: limit.limit, per: limit.per };
  return `,"violated-policies":["${nameOf(gauge)}"],"limit":${JSON.stringify(said)}`;
}

function nameOf({ scope, bucket }: Gauge): string {
  return NAMES[scope][bucket.kind];
}
