import type { IncomingMessage } from 'node:http';
import type { RequestHead } from '../decide/request-head.js';
import { BOUNDS } from './bounds.js';

const NONE: readonly string[] = [];

/** The head of a request that node:http has parsed. */
export class NodeHead implements RequestHead {
  readonly method: string;
  readonly target: string;
  readonly remoteAddress: string;

  constructor(
    private readonly request: IncomingMessage,
    readonly requestId: string,
  ) {
    this.method = request.method ?? '';
    this.target = request.url ?? '';
    // A connection that is gone has no address; it may not pass for one that nobody asked about. On a socket for both
    // families IPv4 addresses come as ::ffff:192.0.2.1, which upstreams and logs should not have to know.
    this.remoteAddress = request.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '') ?? '';
  }

  values(name: string): readonly string[] {
    return this.request.headersDistinct[name] ?? NONE;
  }
}

/** What is wrong with a head that the parser let through; null when nothing is. */
export function faultOfHead(request: IncomingMessage): { status: number; detail: string } | null {
  const { headersDistinct: headers, httpVersion } = request;
  if (request.rawHeaders.length / 2 > BOUNDS.fields)
    return { status: 431, detail: `the request has more than ${BOUNDS.fields} header fields` };
  const hosts = headers['host']?.length ?? 0;
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0'))
    return { status: 400, detail: 'the request must have exactly one Host field' };
  const coding = headers['transfer-encoding'];
  if (coding && (coding.length > 1 || coding[0]?.toLowerCase() !== 'chunked'))
    return { status: 501, detail: 'the only transfer coding that is served is chunked' };
  // h2c is an offer that may be passed over (RFC 9110, 7.8), and Java's client makes it with every request
  const upgrade = headers['upgrade']?.join(',').toLowerCase() ?? 'h2c';
  if (upgrade !== 'h2c') return { status: 400, detail: 'upgrades, such as to WebSocket, are not served' };
  return null;
}

/** Bytes of the body: a number, null for chunked, 0 for none. */
export function bodyLength(request: IncomingMessage): number | null {
  if (request.headers['transfer-encoding'] !== undefined) return null;
  return Number(request.headers['content-length'] ?? 0);
}
