import { once } from 'node:events';
import { createServer } from 'node:net';

/** What keeps a worker from starting, for people who can change the port. */
export function startError(port: number, { message, code }: { message: string; code: string | null }): Error {
  if (code === 'EADDRINUSE')
    return new Error(`the gateway port ${port} is taken: stop what listens there, or set GATEWAY_PORT to another`);
  if (code === 'EACCES')
    return new Error(
      `the gateway port ${port} may not be opened by this user: set GATEWAY_PORT to one above 1023, or allow it`,
    );
  if (code === 'EADDRNOTAVAIL') return new Error(`HELIO_BIND: this machine does not have the address: ${message}`);
  return new Error(`a gateway worker could not start: ${message}`);
}

export async function freePort(host: string | undefined): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
