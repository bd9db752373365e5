import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { WebSocketServer } from 'ws';
import { contentOf } from './content.js';

export const FAULTS = ['reset', 'hang', 'garbage', 'gone'] as const;
export type Fault = (typeof FAULTS)[number];

/** What an upstream says of the request that it got. */
export interface Echo {
  id: string;
  method: string;
  url: string;
  bytes: number;
  sha256: string;
  /** milliseconds since 1970 */
  made: number;
}

/** An upstream that tells what it got, and that can be at fault. */
export class SoakUpstream {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #fault: Fault | null = null;

  /** @param onRequest is told each request that was answered, or may have been */
  private constructor(private readonly onRequest: (method: string, id: string) => void) {
    this.#server = createServer((request, response) => void this.#answer(request, response).catch(() => undefined));
    // kept longer than the gateway keeps an idle connection, so that it is never the upstream that ends one
    this.#server.keepAliveTimeout = 120_000;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined));
    });
    const tunnels = new WebSocketServer({ server: this.#server });
    tunnels.on('connection', (tunnel, { headers }) => {
      tunnel.on('message', (data: Buffer) => tunnel.send(`${headers['x-soak-id'] as string} ${data.toString()}`));
    });
  }

  static async start(onRequest: (method: string, id: string) => void): Promise<SoakUpstream> {
    const upstream = new SoakUpstream(onRequest);
    await upstream.#listen();
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** @param fault null: none any more */
  async set(fault: Fault | null): Promise<void> {
    const before = this.#fault;
    this.#fault = fault;
    if (fault === 'gone') await this.close();
    if (before === 'gone') await this.#listen();
    // those that hang do not wait for ever
    if (before === 'hang') for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', socket, url = '' } = request;
    const id = String(request.headers['x-soak-id']);
    this.onRequest(method, id);
    if (this.#fault === 'reset') return void socket.resetAndDestroy();
    if (this.#fault === 'garbage') return void socket.end('HTTP/1.1 all is well\r\nnot a field\r\n\r\n');
    if (this.#fault === 'hang') return;
    const sum = createHash('sha256');
    let bytes = 0;
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      sum.update(chunk);
    }
    const { pathname, searchParams } = new URL(url, 'http://upstream');
    if (pathname.startsWith('/bytes/')) {
      const length = Number(pathname.slice('/bytes/'.length));
      if (searchParams.get('by') === 'length') response.setHeader('content-length', length);
      return pipeline(Readable.from(contentOf(id, length)), response);
    }
    const echo: Echo = { id, method, url, bytes, sha256: sum.digest('hex'), made: Date.now() };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(echo));
  }
}
