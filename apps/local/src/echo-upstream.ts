import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** More of a body is counted and not sent back. */
const MAX_ECHO_BYTES = 65_536;

/** What is asked for below this path fails: where the demo's bad release leads to. */
export const BROKEN_PATH = '/broken';

/**
 * What the demo API leads to: answers every request with JSON that says what arrived, and below `/broken` with 500.
 *
 * @returns how to stop it
 */
export async function startEchoUpstream(port: number): Promise<() => void> {
  const server = createServer((request, response) => {
    // a caller that goes away in the middle gets no answer, and that is all
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return () => {
    server.close();
    server.closeAllConnections();
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const kept: Buffer[] = [];
  let bodyBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if (bodyBytes < MAX_ECHO_BYTES) kept.push(chunk.subarray(0, MAX_ECHO_BYTES - bodyBytes));
    bodyBytes += chunk.length;
  }
  const { method, url: path, headers } = request;
  const echo = { method, path, headers, body: Buffer.concat(kept).toString(), bodyBytes };
  const status = path?.startsWith(`${BROKEN_PATH}/`) ? 500 : 200;
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(echo, null, 2)}\n`);
}
