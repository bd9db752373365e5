import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { ERRORS, type HelioError, problemType } from '#model';
import { PROBLEM_TYPE } from '#platform';

/** Answers an upgrade with a problem document, and closes. */
export function refuseUpgrade(socket: Duplex, error: HelioError): void {
  const { code, status, detail, fields, headers } = error;
  const { title } = ERRORS[code];
  const problem = { type: problemType(code), title, status, code, detail };
  const body = JSON.stringify(fields.length > 0 ? { ...problem, errors: fields } : problem);
  const lines = [
    `HTTP/1.1 ${status} ${title}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Fields that ask for another protocol. */
const ASKS = new Set(['upgrade', 'connection', 'http2-settings']);

/**
 * A request that asks for another protocol than a WebSocket (clients of HTTP/2 do so by themselves: `Upgrade: h2c`) is
 * answered in this one, as if it had not asked: it goes back to the server without these fields.
 */
export function answerAsUsual(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, rawHeaders } = request;
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (!ASKS.has(name.toLowerCase())) lines.push(`${name}: ${rawHeaders[i + 1]}`);
  }
  const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  socket.unshift(Buffer.concat([bytes, head]));
  server.emit('connection', socket);
}
