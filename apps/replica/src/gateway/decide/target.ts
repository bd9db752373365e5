import { isUtf8 } from 'node:buffer';

/** A request target, taken apart. */
export interface Target {
  /** the path as it was sent */
  path: string;
  /** with its `?`; empty when there is none */
  query: string;
  /** decoded, one character per byte; only the last one may be empty: `/a/` has two, `/` has one */
  segments: string[];
  /** a segment has a slash in it, which was encoded: for APIs that expect that */
  encodedSlash: boolean;
  /** where in `path` the slash before each segment stands */
  offsets: number[];
}

export type TargetResult = { ok: true; target: Target } | { ok: false; detail: string };

const refused = (detail: string): TargetResult => ({ ok: false, detail });

// Origin form is visible ASCII (RFC 9112, 3.2.1). A `#` never travels, and servers disagree about backslashes.
const NOT_IN_TARGET = /[^\x21-\x7e]|#/;
const BROKEN_ESCAPE = /%(?![0-9A-Fa-f]{2})/;
const ABOVE_ASCII = /[\x80-\xff]/;
const DOTS = 'the path has a . or .. segment';
// servers that know path parameters cut them off before they look for a route: `admin;x` is `admin` to them
const SEMICOLON = 'the path has a semicolon, plain or encoded';
const ESCAPE = /%([0-9A-Fa-f]{2})/g;

/**
 * Reads a request target strictly. What two servers could understand differently is refused rather than cleaned up,
 * because the upstream gets the path as it was sent and must find in it what was decided on here: one that merges slashes
 * or cuts path parameters off would serve by another route than the one whose security was checked.
 */
export function parseTarget(text: string): TargetResult {
  if (!text.startsWith('/')) return refused('the request target must be a path that begins with /');
  if (NOT_IN_TARGET.test(text)) return refused('the request target has a character that must be percent-encoded');
  const mark = text.indexOf('?');
  const path = mark < 0 ? text : text.slice(0, mark);
  if (path.includes('\\')) return refused('the path has a backslash');
  if (path.includes(';')) return refused(SEMICOLON);
  const escaped = path.includes('%');
  if (escaped && BROKEN_ESCAPE.test(path)) return refused('the path has a % that no two hexadecimal digits follow');

  const segments: string[] = [];
  const offsets: number[] = [];
  let encodedSlash = false;
  for (let start = 0; start >= 0 && start < path.length; ) {
    const next = path.indexOf('/', start + 1);
    const raw = path.slice(start + 1, next < 0 ? path.length : next);
    const segment = escaped
      ? raw.replace(ESCAPE, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      : raw;
    if (segment === '' && next >= 0) return refused('the path has an empty segment: two slashes in a row');
    if (segment === '.' || segment === '..') return refused(DOTS);
    if (escaped) {
      const fault = faultOfDecoded(segment);
      if (fault !== null) return refused(fault);
      encodedSlash ||= segment.includes('/');
    }
    segments.push(segment);
    offsets.push(start);
    start = next;
  }
  return { ok: true, target: { path, query: mark < 0 ? '' : text.slice(mark), segments, offsets, encodedSlash } };
}

function faultOfDecoded(segment: string): string | null {
  if (segment.includes('\\')) return 'the path has an encoded backslash';
  if (segment.includes('\0')) return 'the path has an encoded NUL';
  if (segment.includes(';')) return SEMICOLON;
  // what decodes slashes before it resolves dots would get out of the API
  if (segment.includes('/') && segment.split('/').some((part) => part === '.' || part === '..')) return DOTS;
  // lenient decoders make ASCII of overlong forms: %c0%ae is a dot to them
  if (ABOVE_ASCII.test(segment) && !isUtf8(Buffer.from(segment, 'latin1')))
    return 'the path has percent-encoded bytes that are not valid UTF-8';
  return null;
}

/** The path from segment `index` on, as it was sent; empty past the last one. */
export function pathFrom(target: Target, index: number): string {
  const offset = target.offsets[index];
  return offset === undefined ? '' : target.path.slice(offset);
}

/** Decodes what a template or a prefix says the way segments of requests are decoded. */
export function decodeSegment(text: string): string {
  return text.replace(ESCAPE, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
