import { isIPv6 } from 'node:net';

/** An IPv4 address is a number of 32 bits, an IPv6 address a bigint of 128. */
export type IpAddress = number | bigint;

const ZERO = 48;
const DOT = 46;
const MAPPED_PREFIX = 0xffffn; // ::ffff:0:0/96

/** IPv4 in IPv6 clothing (::ffff:192.0.2.1) is IPv4, and a zone (fe80::1%eth0) is no part of an address. Null: none at all. */
export function parseIpAddress(text: string): IpAddress | null {
  const v4 = parseV4(text);
  if (v4 !== null) return v4;
  const end = text.indexOf('%');
  const plain = end < 0 ? text : text.slice(0, end);
  if (!isIPv6(plain)) return null;
  const v6 = valueOfV6(plain);
  return v6 >> 32n === MAPPED_PREFIX ? Number(v6 & 0xffff_ffffn) : v6;
}

/** Four decimal numbers without leading zeros, which some would read as octal. */
function parseV4(text: string): number | null {
  let value = 0;
  let part = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (part < 0 || ++dots > 3) return null;
      value = value * 256 + part;
      part = -1;
    } else {
      const digit = code - ZERO;
      if (digit < 0 || digit > 9 || part === 0) return null;
      part = part < 0 ? digit : part * 10 + digit;
      if (part > 255) return null;
    }
  }
  return dots === 3 && part >= 0 ? value * 256 + part : null;
}

/** @param text a valid address */
function valueOfV6(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const first = groupsOf(head);
  const last = tail === undefined ? [] : groupsOf(tail);
  let value = 0n;
  for (const group of first) value = (value << 16n) | BigInt(group);
  value <<= BigInt(16 * (8 - first.length));
  let low = 0n;
  for (const group of last) low = (low << 16n) | BigInt(group);
  return value | low;
}

function groupsOf(text: string): number[] {
  const groups: number[] = [];
  for (const part of text === '' ? [] : text.split(':')) {
    const v4 = part.includes('.') ? parseV4(part) : null;
    if (v4 === null) groups.push(Number.parseInt(part, 16));
    else groups.push(v4 >>> 16, v4 & 0xffff);
  }
  return groups;
}
