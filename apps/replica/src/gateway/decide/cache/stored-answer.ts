import type { RequestHead } from '../request-head.js';
import { parseDate } from './cache-control.js';
import { type AnswerTimes, type Keeping, type UpstreamHead, valuesOf } from './cache-rules.js';

/** An answer as it is kept. Times are monotonic milliseconds. */
export interface StoredAnswer {
  status: number;
  /** names and values in turn: what belongs to the answer, and to no connection */
  headers: readonly string[];
  body: Buffer;
  etag: string | null;
  /** milliseconds since 1970 */
  lastModified: number | null;
  forEverybody: boolean;
  storedAt: number;
  goodUntil: number;
  /** how old it was when it came, milliseconds */
  ageMs: number;
}

/** An answer to be given: its fields as an upstream would send them, but for those that frame it. */
export interface CacheHit {
  status: number;
  headers: string[];
  /** empty with 304 */
  body: Buffer;
}

const EMPTY = Buffer.alloc(0);
/** Fields of one connection or one message, and Age, which grows. */
const NOT_KEPT = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-authentication-info',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'age',
  'x-request-id',
]);
/** What an answer with 304 repeats (RFC 9110, 15.4.5), and what concerns the caller and not the body. */
const NOT_OF_304 = /^content-(?!location$|security-policy)|^(?:last-modified|accept-ranges)$/;

export function storedAnswer(
  { status, headers }: UpstreamHead,
  body: Buffer,
  { freshMs, ageMs, forEverybody }: Keeping,
  { now, wallMs }: AnswerTimes,
): StoredAnswer {
  const kept = keptHeaders(headers, wallMs);
  return {
    status,
    headers: kept,
    body,
    etag: valuesOf(kept, 'etag')[0] ?? null,
    lastModified: parseDate(valuesOf(kept, 'last-modified')[0]),
    forEverybody,
    storedAt: now,
    goodUntil: now + freshMs,
    ageMs,
  };
}

function keptHeaders(headers: readonly string[], wallMs: number): string[] {
  const named = valuesOf(headers, 'connection')
    .join()
    .toLowerCase()
    .split(/[\s,]+/);
  const kept: string[] = [];
  let dated = false;
  for (let i = 0; i < headers.length; i += 2) {
    const lower = (headers[i] as string).toLowerCase();
    dated ||= lower === 'date';
    if (!NOT_KEPT.has(lower) && !named.includes(lower)) kept.push(headers[i] as string, headers[i + 1] as string);
  }
  // the time that its Age counts from (RFC 9110, 6.6.1)
  if (!dated) kept.push('Date', new Date(wallMs).toUTCString());
  // A parser's strings may be pieces of whole heads and keep those alive: these are pieces of exactly what they say.
  return kept.length === 0 ? kept : Buffer.from(kept.join('\n'), 'latin1').toString('latin1').split('\n');
}

/** The answer for one request: as it is kept, or 304 for a caller that has it already. */
export function hitOf(stored: StoredAnswer, head: RequestHead, now: number): CacheHit {
  const age = String(Math.floor((stored.ageMs + now - stored.storedAt) / 1000));
  if (!isHeld(stored, head))
    return { status: stored.status, headers: [...stored.headers, 'Age', age], body: stored.body };
  const headers: string[] = [];
  for (let i = 0; i < stored.headers.length; i += 2) {
    const name = stored.headers[i] as string;
    if (!NOT_OF_304.test(name.toLowerCase())) headers.push(name, stored.headers[i + 1] as string);
  }
  headers.push('Age', age);
  return { status: 304, headers, body: EMPTY };
}

/** Whether the caller has this answer already (RFC 9110, 13.2.2): by its ETag, or else by its date. */
function isHeld({ status, etag, lastModified }: StoredAnswer, head: RequestHead): boolean {
  if (status !== 200) return false;
  const tags = head.values('if-none-match').join();
  if (tags !== '') return tags.trim() === '*' || (etag !== null && tagsOf(tags).includes(opaque(etag)));
  const since = parseDate(head.values('if-modified-since')[0]);
  return since !== null && lastModified !== null && lastModified <= since;
}

/** Weak comparison: what is in the quotes counts. */
function opaque(tag: string): string {
  return tag.trim().replace(/^W\//, '');
}

function tagsOf(text: string): string[] {
  return text.match(/"[^"]*"/g) ?? [];
}
