/** Fields that the engine knows by itself. Everything up to `upgrade` means one connection and not the next one. */
export const FIELD = {
  other: 0,
  connection: 1,
  keepAlive: 2,
  proxyConnection: 3,
  proxyAuthenticate: 4,
  proxyAuthorization: 5,
  te: 6,
  trailer: 7,
  transferEncoding: 8,
  upgrade: 9,
  host: 10,
  contentLength: 11,
  expect: 12,
  requestId: 13,
  date: 14,
  /** CGI and its heirs cannot tell these from the real ones */
  underscored: 15,
} as const;

/** The last of those that RFC 9110, 7.6.1, and what older software sends, make hop-by-hop. */
export const LAST_HOP_BY_HOP = FIELD.upgrade;

interface KnownName {
  kind: number;
  name: string;
  hash: number;
}

const START = 5381;

/** One step of a hash that takes upper and lower case for the same. It only says what is worth comparing. */
export function hashStep(hash: number, byte: number): number {
  return (Math.imul(hash, 33) ^ (byte | 0x20)) | 0;
}

export const HASH_START = START;

export function hashOfName(name: string): number {
  let hash = START;
  for (let i = 0; i < name.length; i++) hash = hashStep(hash, name.charCodeAt(i));
  return hash;
}

/** Whether these bytes are that name, in whatever case. */
export function isName(bytes: Buffer, from: number, end: number, name: string): boolean {
  if (end - from !== name.length) return false;
  for (let i = 0; i < name.length; i++)
    if (lowerOf(bytes[from + i] as number) !== lowerOf(name.charCodeAt(i))) return false;
  return true;
}

function lowerOf(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

const KNOWN: [string, number][] = [
  ['connection', FIELD.connection],
  ['keep-alive', FIELD.keepAlive],
  ['proxy-connection', FIELD.proxyConnection],
  ['proxy-authenticate', FIELD.proxyAuthenticate],
  ['proxy-authorization', FIELD.proxyAuthorization],
  ['te', FIELD.te],
  ['trailer', FIELD.trailer],
  ['transfer-encoding', FIELD.transferEncoding],
  ['upgrade', FIELD.upgrade],
  ['host', FIELD.host],
  ['content-length', FIELD.contentLength],
  ['expect', FIELD.expect],
  ['x-request-id', FIELD.requestId],
  ['date', FIELD.date],
  ['content_length', FIELD.underscored],
  ['transfer_encoding', FIELD.underscored],
];

/** By the low bits of the hash; a place that is taken means the next one. */
const SLOTS = 256;
const slots: (KnownName | null)[] = Array.from({ length: SLOTS }, () => null);
for (const [name, kind] of KNOWN) {
  const hash = hashOfName(name);
  let slot = hash & (SLOTS - 1);
  while (slots[slot]) slot = (slot + 1) & (SLOTS - 1);
  slots[slot] = { kind, name, hash };
}

/** @returns one of FIELD */
export function kindOfName(bytes: Buffer, from: number, end: number, hash: number): number {
  for (let slot = hash & (SLOTS - 1); ; slot = (slot + 1) & (SLOTS - 1)) {
    const known = slots[slot];
    if (!known) return FIELD.other;
    if (known.hash === hash && isName(bytes, from, end, known.name)) return known.kind;
  }
}
