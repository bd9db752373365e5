import type { Socket } from 'node:net';
import type { Forward } from '../decide/decision.js';
import type { HeaderEdits } from '../decide/header-edits.js';
import { FIELD, LAST_HOP_BY_HOP } from './wire/field-names.js';
import type { RequestFraming } from './wire/request-framing.js';
import type { RequestParser } from './wire/request-parser.js';
import { ResponseParser } from './wire/response-parser.js';

/** Names and values in turn, as they are on the wire (latin1). */
export type HeaderList = readonly string[];

export function linesOf(list: HeaderList): string {
  let text = '';
  for (let i = 0; i < list.length; i += 2) text += `${list[i]}: ${list[i + 1]}\r\n`;
  return text;
}

/** What upstreams are told of the connection that a request came on. */
export interface Caller {
  address: string;
  scheme: 'http' | 'https';
  /** X-Forwarded-For and -Proto, as they are for all requests of the connection */
  lines: string;
}

export function callerOf(socket: Socket, scheme: 'http' | 'https'): Caller {
  // A connection that is gone has no address; it may not pass for one that nobody asked about. On a socket for both
  // families IPv4 addresses come as ::ffff:192.0.2.1, which upstreams and logs should not have to know.
  const address = socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '') ?? '';
  return { address, scheme, lines: `X-Forwarded-For: ${address}\r\nX-Forwarded-Proto: ${scheme}\r\n` };
}

/**
 * Fields by which proxies tell upstreams whom to trust, and which URI, host or method was asked for. No proxy in front of
 * the gateway is trusted, so whatever comes in was made by the client: it is dropped, and the gateway's own replaces it.
 * An upstream that routes by X-Original-URL would answer for another path than the one that was checked, and is kept. With
 * underscores too: CGI and its heirs cannot tell them from dashes.
 */
const WORD_OF_A_PROXY = new RegExp(
  [
    '^x[-_](?:forwarded|heliograph)(?:$|[-_])',
    '^x[-_](?:(?:real|client|cluster[-_]client)[-_]ip|(?:http[-_]host[-_]override|host))$',
    '^x[-_](?:original[-_](?:ur[il]|host|method)|rewrite[-_]url)$',
    '^(?:forwarded|true[-_]client[-_]ip)$',
    // clients that mean it write it with dashes; those go on, and nothing is kept of them (cache-rules.ts)
    '^(?=.*_)x[-_](?:http[-_]method|(?:http[-_])?method[-_]override)$',
  ].join('|'),
  'i',
);

/** The fields that go upstream: built anew from what came in, without what was meant for the gateway, framing left out. */
export function upstreamLines(head: RequestParser, framing: RequestFraming, forward: Forward, caller: Caller): string {
  for (let i = 0; i < head.count; i++) {
    const kind = head.kinds[i] as number;
    // the gateway writes those up to X-Request-Id by itself, or answers for them
    if (kind === FIELD.other ? speaksForProxy(head, i) : kind <= FIELD.requestId) head.dropped[i] = 1;
  }
  for (const name of TRACE_NAMES) head.drop(name);
  for (const name of forward.withheld) head.drop(name);
  if (framing.namesFields) head.dropNamedByConnection();
  const edits = forward.route.policies.requestEdits;
  if (edits) for (const name of edits.drop) head.drop(name);
  const own = edits
    ? ownLines(head.requestId, framing.host, caller, edits)
    : ownLinesUnedited(head.requestId, framing.host, caller);
  return head.keptLines() + own + (edits ? linesOf(edits.append) : '');
}

function ownLinesUnedited(requestId: string, host: string, caller: Caller): string {
  const hostLine = host === '' ? '' : `X-Forwarded-Host: ${host}\r\n`;
  return `X-Request-Id: ${requestId}\r\n${caller.lines}${hostLine}Forwarded: ${forwardedElement(caller, host)}\r\n`;
}

/** The gateway's own fields are those of an API's edits, too. */
function ownLines(requestId: string, host: string, caller: Caller, { drop }: HeaderEdits): string {
  if (!OWN_NAMES.some((name) => drop.has(name))) return ownLinesUnedited(requestId, host, caller);
  const own = [
    ['X-Request-Id', requestId],
    ['X-Forwarded-For', caller.address],
    ['X-Forwarded-Proto', caller.scheme],
    ['X-Forwarded-Host', host],
    ['Forwarded', forwardedElement(caller, host)],
  ] as const;
  return linesOf(own.filter(([name, value]) => value !== '' && !drop.has(name.toLowerCase())).flat());
}

/** RFC 7239: an IPv6 address stands in brackets, and whatever has more than token characters in quotes. */
function forwardedElement({ address, scheme }: Caller, host: string): string {
  const node = address.includes(':') ? `"[${address}]"` : address;
  const quoted = host === '' ? '' : `;host="${host}"`;
  return `for=${node === '' ? 'unknown' : node}${quoted};proto=${scheme}`;
}

/** Written anew for each attempt, by whoever knows the trace. */
const TRACE_NAMES = ['traceparent', 'tracestate'];
const OWN_NAMES = ['x-request-id', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'forwarded'];

/** What follows `x-` in the words of a proxy. */
const OF_X = new Set(Buffer.from('cfhmor'));

/** Few names have to be looked at as a whole. */
function speaksForProxy(head: RequestParser, index: number): boolean {
  const first = head.nameByte(index, 0);
  const length = head.nameLength(index);
  if (first === 0x66) return length === 9 && WORD_OF_A_PROXY.test(head.name(index));
  if (first === 0x74) return length === 14 && WORD_OF_A_PROXY.test(head.name(index));
  return first === 0x78 && length >= 6 && OF_X.has(head.nameByte(index, 2)) && WORD_OF_A_PROXY.test(head.name(index));
}

/** The fields that the client gets of an upstream's answer, framing left out. */
export function clientLines(head: ResponseParser, forward: Forward): string {
  const { policies } = forward.route;
  for (let i = 0; i < head.count; i++) {
    const kind = head.kinds[i] as number;
    if (kind === FIELD.other) {
      // the gateway's policy is the one that counts
      if (policies.cors !== null && /^access-control-/i.test(head.name(i))) head.dropped[i] = 1;
    } else if (kind <= LAST_HOP_BY_HOP || kind === FIELD.contentLength || kind === FIELD.requestId) {
      head.dropped[i] = 1;
    }
  }
  // what the gateway adds, only it may say; several Vary fields are one list
  const { headers } = forward;
  for (let i = 0; i < headers.length; i += 2) if (headers[i] !== 'Vary') head.drop(headers[i] as string);
  if (head.namesFields) head.dropNamedByConnection();
  const edits = policies.responseEdits;
  if (edits) for (const name of edits.drop) head.drop(name);
  return head.keptLines() + (edits ? linesOf(edits.append) : '') + linesOf(headers);
}

const KEPT = new ResponseParser();

/** The same for an answer that was kept: it is read as if the upstream sent it again. */
export function keptLines(fields: HeaderList, forward: Forward): string {
  const bytes = Buffer.from(`HTTP/1.1 200 OK\r\n${linesOf(fields)}\r\n`, 'latin1');
  KEPT.reset();
  KEPT.feed(bytes, 0, bytes.length);
  const fault = KEPT.fault ?? KEPT.conclude(false);
  if (fault) throw new Error(`an answer that was kept cannot be sent: ${fault.detail}`);
  return clientLines(KEPT, forward);
}
