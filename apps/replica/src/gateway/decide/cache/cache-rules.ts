import type { Forward } from '../decision.js';
import type { RequestHead } from '../request-head.js';
import { type Directives, parseDate, parseDirectives, parseSeconds } from './cache-control.js';

/** An upstream's answer, its fields as they were received: names and values in turn. */
export interface UpstreamHead {
  status: number;
  headers: readonly string[];
}

export interface AnswerTimes {
  /** monotonic milliseconds: when the request was sent, and now that the head of its answer is there */
  sentAt: number;
  now: number;
  /** milliseconds since 1970, now */
  wallMs: number;
}

/** What a request says of answers that are kept. Not asked for requests whose answer depends on more than their URI. */
export interface Wishes {
  /** the oldest answer that will do, in milliseconds, and how long it must still be good */
  maxAgeMs: number;
  minFreshMs: number;
}

/** How an answer may be kept. */
export interface Keeping {
  /** milliseconds from now */
  freshMs: number;
  /** how old it is already, milliseconds */
  ageMs: number;
  /** the upstream says that everybody may have it */
  forEverybody: boolean;
  /** fields of requests that it depends on, in lower case and in order */
  vary: readonly string[];
}

const MAX_VARY = 16;
/** Answers that may be kept when the upstream says how long, and those that may be kept when it says nothing. */
const KEPT_STATUSES = new Set([200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414]);
const KEPT_BY_TTL = new Set([200, 203, 204, 300, 301, 308]);
/** What a request may name in Connection and still be the same to every upstream. */
const USUAL_CONNECTION = /^[\s,]*(?:(?:close|keep-alive|te|upgrade|http2-settings)(?:[\s,]+|$))*$/i;
/** The request is more, or other, than its method and URI; to some upstreams it has another method. */
const PARTICULAR = [
  'range',
  'if-match',
  'if-unmodified-since',
  'transfer-encoding',
  'x-http-method-override',
  'x-method-override',
  'x-http-method',
] as const;
/** Fields that tell upstreams who is calling, whatever the API is. */
const PERSONAL = ['authorization', 'cookie', 'x-api-key'] as const;
/** What the gateway writes into requests itself: of these the caller's fields say nothing. The first three are in the key. */
const IN_KEY = new Set(['host', 'x-forwarded-host', 'x-forwarded-proto']);
const OF_THE_GATEWAY =
  /^(?:x[-_](?:(?:forwarded|heliograph|real)(?:[-_]|$)|request[-_]id$)|(?:forwarded|expect|te|connection|content-length)$)/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;

/** What a request wishes of answers that are kept; null: it has to be asked upstream, whatever is kept. */
export function wishesOf(head: RequestHead): Wishes | null {
  if ((head.method !== 'GET' && head.method !== 'HEAD') || isParticular(head)) return null;
  const given = head.values('cache-control');
  if (given.length === 0) return head.values('pragma').join().includes('no-cache') ? null : ANY;
  const asked = parseDirectives(given);
  if (asked.has('no-cache') || asked.has('no-store')) return null;
  // a wish that cannot be read is taken for the strictest one
  return {
    maxAgeMs: asked.has('max-age') ? (parseSeconds(asked.get('max-age')) ?? 0) : Number.POSITIVE_INFINITY,
    minFreshMs: asked.has('min-fresh') ? (parseSeconds(asked.get('min-fresh')) ?? Number.POSITIVE_INFINITY) : 0,
  };
}

const ANY: Wishes = { maxAgeMs: Number.POSITIVE_INFINITY, minFreshMs: 0 };

/**
 * A field that Connection names does not go upstream, so that the answer is none to the request as it looks: kept, it
 * would be one that a caller chose for others.
 */
function isParticular(head: RequestHead): boolean {
  for (const name of PARTICULAR) if (head.values(name).length > 0) return true;
  const length = head.values('content-length');
  if (length.length > 0 && length[0] !== '0') return true;
  // h2c is an offer that is passed over, and some clients make it with every request
  if (head.values('upgrade').some((value) => value.toLowerCase() !== 'h2c')) return true;
  return !head.values('connection').every((value) => USUAL_CONNECTION.test(value));
}

/** Whether the upstream gets to know who is calling: then only what is for everybody may be kept, or given. */
export function isPersonal(head: RequestHead, forward: Forward): boolean {
  const { api, route, withheld } = forward;
  const reaches = (name: string): boolean =>
    head.values(name).length > 0 && !withheld.includes(name) && route.policies.requestEdits?.drop.has(name) !== true;
  return PERSONAL.some(reaches) || (api.credential !== null && reaches(api.credential.header));
}

/** Whether an answer says that what is kept of its URI may be wrong now (RFC 9111, 4.4). */
export function outdates(method: string, status: number): boolean {
  const safe = method === 'GET' || method === 'HEAD' || method === 'OPTIONS' || method === 'TRACE';
  return !safe && status >= 200 && status < 400;
}

/**
 * How an answer to a GET may be kept by a cache that many share (RFC 9111, 3), stricter where applications could get what
 * was meant for another one: nothing with Set-Cookie; nothing that answers a caller whom the upstream knows, unless it
 * says `public` or `s-maxage`. Null: not at all.
 */
export function keepingOf(
  head: RequestHead,
  forward: Forward,
  { status, headers }: UpstreamHead,
  times: AnswerTimes,
): Keeping | null {
  const { cache } = forward.route;
  if (cache === null || head.method !== 'GET' || isParticular(head) || !KEPT_STATUSES.has(status)) return null;
  if (parseDirectives(head.values('cache-control')).has('no-store')) return null;

  const said = parseDirectives(valuesOf(headers, 'cache-control'));
  if (said.has('no-store') || said.has('private') || said.has('no-cache')) return null;
  if (valuesOf(headers, 'set-cookie').length > 0) return null;
  const forEverybody = said.has('public') || said.has('s-maxage');
  if (!forEverybody && isPersonal(head, forward)) return null;
  const vary = varyOf(valuesOf(headers, 'vary'));
  if (vary === null) return null;

  const ageMs = ageOf(headers, times);
  const lifetime = lifetimeOf(said, headers, times.wallMs);
  // the publisher's ttl counts from here: the clock of an upstream may be wrong
  const freshMs = lifetime === null ? (KEPT_BY_TTL.has(status) ? cache.ttlMs : 0) : lifetime - ageMs;
  return freshMs > 0 ? { freshMs, ageMs, forEverybody, vary } : null;
}

/** What the upstream says that an answer lives; null when it says nothing. What cannot be read is no time at all. */
function lifetimeOf(said: Directives, headers: readonly string[], wallMs: number): number | null {
  for (const name of ['s-maxage', 'max-age']) if (said.has(name)) return parseSeconds(said.get(name)) ?? 0;
  const expires = valuesOf(headers, 'expires');
  if (expires.length === 0) return null;
  const until = expires.length === 1 ? parseDate(expires[0]) : null;
  return until === null ? 0 : until - (parseDate(valuesOf(headers, 'date')[0]) ?? wallMs);
}

/** RFC 9111, 4.2.3. */
function ageOf(headers: readonly string[], { sentAt, now, wallMs }: AnswerTimes): number {
  const apparent = Math.max(0, wallMs - (parseDate(valuesOf(headers, 'date')[0]) ?? wallMs));
  return Math.max(apparent, (parseSeconds(valuesOf(headers, 'age')[0]) ?? 0) + now - sentAt);
}

/** Null: it depends on more than fields of the request that are known here. */
function varyOf(values: readonly string[]): string[] | null {
  const names = new Set<string>();
  for (const part of values.join().split(',')) {
    const name = part.trim().toLowerCase();
    if (name === '' || IN_KEY.has(name)) continue;
    if (name === '*' || !FIELD_NAME.test(name) || OF_THE_GATEWAY.test(name)) return null;
    names.add(name);
  }
  return names.size > MAX_VARY ? null : [...names].sort();
}

/** Every value of a field. `name` in lower case */
export function valuesOf(headers: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    const field = headers[i] as string;
    if (field.length === name.length && field.toLowerCase() === name) values.push(headers[i + 1] as string);
  }
  return values;
}
