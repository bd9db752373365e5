import { once } from 'node:events';
import { type IncomingHttpHeaders, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface Answered {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  /** of a problem document */
  code: string | undefined;
}

/** One request on a connection of its own. */
export async function call(
  port: number,
  method: string,
  path: string,
  headers: Record<string, string | string[]> = {},
  body?: string | Buffer,
): Promise<Answered> {
  const request = httpRequest({ port, host: '127.0.0.1', method, path, headers, agent: false });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const text = (await buffer(response)).toString();
  const code = response.headers['content-type']?.startsWith('application/problem+json')
    ? (JSON.parse(text) as { code: string }).code
    : undefined;
  return { status: response.statusCode ?? 0, headers: response.headers, text, code };
}

/** A connection on which a test writes what it likes. */
export class RawClient {
  received = '';
  closed = false;
  /** how it ended: an error code, or null for an orderly end */
  error: string | null = null;
  private readonly waiters = new Set<() => void>();

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1');
      this.wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code ?? error.message));
    socket.on('close', () => {
      this.closed = true;
      this.wake();
    });
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  write(text: string | Buffer): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Everything that was received when the connection is closed. */
  async end(): Promise<string> {
    await this.until(() => this.closed, 'the end of the connection');
    return this.received;
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = setTimeout(
      () => this.socket.destroy(new Error(`waited in vain for ${what}; received: ${this.received.slice(0, 400)}`)),
      60_000,
    );
    while (!condition() && !(this.closed && this.error?.startsWith('waited'))) {
      if (this.closed) break;
      await new Promise<void>((resolve) => this.waiters.add(resolve));
    }
    clearTimeout(deadline);
    if (!condition())
      throw new Error(this.error ?? `the connection ended before ${what}; received: ${this.received.slice(0, 400)}`);
  }

  has(text: string): Promise<void> {
    return this.until(() => this.received.includes(text), JSON.stringify(text));
  }

  private wake(): void {
    for (const waiter of this.waiters) waiter();
    this.waiters.clear();
  }
}

/** Sends bytes and gives everything that comes back until the gateway closes. */
export async function exchange(port: number, ...pieces: string[]): Promise<string> {
  const client = await RawClient.open(port);
  for (const piece of pieces) {
    client.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return client.end();
}

export interface RawServer {
  url: string;
  server: Server;
  sockets: Socket[];
  close(): Promise<void>;
}

/** An upstream that does to each connection what a test says. */
export async function rawServer(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
