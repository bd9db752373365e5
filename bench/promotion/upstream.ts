import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers everything in one way. */
export async function upstreamThatAnswers(status: number): Promise<{ url: string; close: () => void }> {
  const server = createServer((_, response) => response.writeHead(status).end('answered')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}
