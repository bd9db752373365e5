import type { Forward } from '../decide/decision.js';
import { applyEdits } from '../decide/header-edits.js';

/** Names and values in turn, as they are on the wire (latin1). */
export type HeaderList = readonly string[];

/** Fields that mean this connection and not the next one (RFC 9110, 7.6.1, and what older software sends). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** Fields that the gateway writes by itself. */
const REWRITTEN = new Set(['host', 'content-length', 'expect', 'x-request-id']);
/**
 * Fields by which proxies tell upstreams whom to trust, in lower case. No proxy in front of the gateway is trusted, so
 * whatever comes in was made by the client: it is dropped, and the gateway's own replaces it. With underscores too: CGI
 * and its heirs cannot tell them from dashes.
 */
const WORD_OF_A_PROXY = /^(?:x[-_](?:(?:forwarded|heliograph)(?:$|[-_])|real[-_]ip$)|forwarded$)/;

export interface Caller {
  address: string;
  /** the Host field; empty if there was none */
  host: string;
  requestId: string;
}

/** What goes upstream: built anew from what came in, without what was meant for the gateway. */
export function upstreamHeaders(
  received: HeaderList,
  forward: Forward,
  caller: Caller,
  contentLength: number | null,
): string[] {
  const named = namedByConnection(received);
  const headers: string[] = [];
  for (let i = 0; i < received.length; i += 2) {
    const name = received[i] as string;
    const value = received[i + 1] as string;
    const lower = name.toLowerCase();
    if (named?.has(lower) || HOP_BY_HOP.has(lower) || REWRITTEN.has(lower) || WORD_OF_A_PROXY.test(lower)) continue;
    if (!forward.withheld.includes(lower)) headers.push(name, value);
  }
  headers.push('X-Request-Id', caller.requestId, 'X-Forwarded-For', caller.address, 'X-Forwarded-Proto', 'http');
  if (caller.host !== '') headers.push('X-Forwarded-Host', caller.host);
  headers.push('Forwarded', forwardedElement(caller));
  const edits = forward.route.policies.requestEdits;
  const result = edits ? applyEdits(headers, edits) : headers;
  if (contentLength !== null) result.push('Content-Length', String(contentLength));
  return result;
}

/** RFC 7239: an IPv6 address stands in brackets, and whatever has more than token characters in quotes. */
function forwardedElement({ address, host }: Caller): string {
  const node = address.includes(':') ? `"[${address}]"` : address;
  const quoted = host === '' ? '' : `;host="${host.replace(/["\\]/g, '\\$&')}"`;
  return `for=${node === '' ? 'unknown' : node}${quoted};proto=http`;
}

/** What the client gets of an upstream's answer. */
export function clientHeaders(received: HeaderList, forward: Forward): string[] {
  const named = namedByConnection(received);
  const own = ownNames(forward.headers);
  const cors = forward.route.policies.cors !== null;
  const chunked = has(received, 'transfer-encoding');
  const headers: string[] = [];
  for (let i = 0; i < received.length; i += 2) {
    const name = received[i] as string;
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || own.has(lower) || named?.has(lower)) continue;
    if (cors && lower.startsWith('access-control-')) continue; // the gateway's policy is the one that counts
    if (chunked && lower === 'content-length') continue;
    headers.push(name, received[i + 1] as string);
  }
  const edits = forward.route.policies.responseEdits;
  const result = edits ? applyEdits(headers, edits) : headers;
  result.push(...forward.headers);
  return result;
}

/** Names that the gateway adds, and which therefore only it may say. Several Vary fields are one list. */
function ownNames(headers: HeaderList): Set<string> {
  const names = new Set(['x-request-id']);
  for (let i = 0; i < headers.length; i += 2) {
    const lower = (headers[i] as string).toLowerCase();
    if (lower !== 'vary') names.add(lower);
  }
  return names;
}

function namedByConnection(headers: HeaderList): Set<string> | null {
  let names: Set<string> | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if ((headers[i] as string).toLowerCase() !== 'connection') continue;
    names ??= new Set();
    for (const token of (headers[i + 1] as string).split(',')) names.add(token.trim().toLowerCase());
  }
  return names;
}

function has(headers: HeaderList, name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if ((headers[i] as string).toLowerCase() === name) return true;
  return false;
}
