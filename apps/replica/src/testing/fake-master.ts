import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Heard {
  path: string;
  authorization: string | undefined;
  // what the replica sends is what the tests look at
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

/** An HTTP server that answers what it is told to, and keeps what it heard. */
export class FakeMaster {
  readonly heard: Heard[] = [];
  /** the answers of the next requests; the last one stays */
  answers: { status: number; body: unknown }[] = [{ status: 204, body: null }];
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(port = 0): Promise<FakeMaster> {
    const server = createServer();
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const master = new FakeMaster(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n'));
    server.on('request', (request, response) => {
      if (request.method !== 'POST') return void response.writeHead(404).end();
      void read(request).then((body) => {
        master.heard.push({ path: request.url ?? '', authorization: request.headers.authorization, body });
        const answer = master.answers.length > 1 ? master.answers.shift() : master.answers[0];
        response.writeHead(answer?.status ?? 500, { 'content-type': 'application/json' });
        response.end(answer?.body === null ? undefined : JSON.stringify(answer?.body));
      });
    });
    return master;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

async function read(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString());
}
