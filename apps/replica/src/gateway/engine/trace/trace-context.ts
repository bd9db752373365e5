/** What a request's `traceparent` says (W3C Trace Context). */
export interface TraceParent {
  /** 32 hexadecimal digits */
  traceId: string;
  /** 16 */
  spanId: string;
  /** 2 */
  flags: string;
}

const SAMPLED = 1;
/** Later versions may say more behind the four parts that this one has; ff is none. */
const PARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

const MEMBERS = 32;
const STATE_CHARACTERS = 512;
/** The first to go when it is too much. */
const LONG_MEMBER = 128;
const MEMBER = /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** @returns null where there is none that could be followed: it is missing, is there twice, or says nonsense */
export function traceParentOf(values: readonly string[]): TraceParent | null {
  const [value] = values;
  const match = value === undefined || values.length > 1 ? null : PARENT.exec(value);
  if (!match) return null;
  const [, version, traceId = '', spanId = '', flags = '', more] = match;
  if (version === '00') return more === undefined ? { traceId, spanId, flags } : null;
  // what else the bits of a later version mean is not known
  return { traceId, spanId, flags: isSampled(flags) ? '01' : '00' };
}

export function isSampled(flags: string): boolean {
  return (Number.parseInt(flags, 16) & SAMPLED) !== 0;
}

/** The members of `tracestate` as one list, at most 512 characters of it; empty when one of them cannot be read. */
export function traceStateOf(values: readonly string[]): string {
  if (values.length === 0) return '';
  const members = values
    .join(',')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))));
  if (keys.size < members.length || members.length > MEMBERS || !members.every((member) => MEMBER.test(member)))
    return '';
  const text = members.join(',');
  if (text.length <= STATE_CHARACTERS) return text;
  const short = members.filter((member) => member.length <= LONG_MEMBER);
  while (short.join(',').length > STATE_CHARACTERS) short.pop();
  return short.join(',');
}
