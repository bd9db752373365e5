import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'vitest';
import { until } from '#harness';
import { RawClient } from '../../apps/replica/src/testing/clients.js';
import { definitionOf, placed } from '../../apps/replica/src/testing/gateway-ops.js';
import { TestGateway } from '../../apps/replica/src/testing/test-gateway.js';
import { type Case, type Passed, PROBE, PROBED } from './case.js';

interface Seen {
  method: string;
  path: string;
  body: string;
  fields: NodeJS.Dict<string | string[]>;
}

/** node's server: what it takes for a request, and what it does not. */
export class NodeUpstream {
  /** requests that came whole */
  readonly seen: Seen[] = [];
  /** requests of which only a part came */
  cut = 0;
  /** bytes that are no request to it; a part of one that was broken off is no fault */
  faults: string[] = [];
  url = '';
  private readonly server: HttpServer;

  private constructor() {
    this.server = createHttpServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      this.take(request).then(
        () => response.writeHead(200, { 'content-length': 2 }).end(request.method === 'HEAD' ? '' : 'ok'),
        () => (this.cut += 1),
      );
    });
    this.server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'HPE_INVALID_EOF_STATE') this.faults.push(String(error));
      socket.destroy();
    });
    this.server.on('upgrade', (request, socket) => {
      this.seen.push({ method: 'GET', path: request.url ?? '', body: '', fields: request.headers });
      socket.on('error', () => undefined).write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
      socket.end();
    });
  }

  static async start(): Promise<NodeUpstream> {
    const upstream = new NodeUpstream();
    upstream.server.listen(0, '127.0.0.1');
    await once(upstream.server, 'listening');
    upstream.url = `http://127.0.0.1:${(upstream.server.address() as AddressInfo).port}`;
    return upstream;
  }

  forget(): void {
    this.seen.length = 0;
    this.faults.length = 0;
    this.cut = 0;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async take(request: IncomingMessage): Promise<void> {
    let body = '';
    for await (const chunk of request) body += (chunk as Buffer).toString('latin1');
    const { method = '', url: path = '', headers: fields } = request;
    this.seen.push({ method, path, body, fields });
  }
}

/** An engine whose sockets a test can look at, so that it knows when a piece has been read. */
export class Rig {
  private readonly accepted: Socket[] = [];

  private constructor(
    readonly gateway: TestGateway,
    private readonly server: Server,
    private readonly upstream: NodeUpstream,
    private readonly direct: boolean,
  ) {}

  /** @param upstream where requests arrive at last @param url what the gateway has for its upstream */
  static async start(upstream: NodeUpstream, url = upstream.url): Promise<Rig> {
    const definition = definitionOf({
      security: 'open',
      routes: [{ method: '*', path: '/*' }],
      upstream: { targets: [{ url }] },
    });
    const gateway = await TestGateway.start(placed(definition));
    const server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: 64 * 1024 });
    const rig = new Rig(gateway, server, upstream, url === upstream.url);
    server.on('connection', (socket) => {
      rig.accepted.push(socket);
      gateway.engine.serve(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return rig;
  }

  async stop(): Promise<void> {
    this.server.close();
    await this.gateway.stop();
  }

  /** Sends a case in these pieces, the probe behind it, and looks at everything that comes of it. */
  async check(tried: Case, pieces: readonly string[]): Promise<void> {
    const { upstream, gateway } = this;
    upstream.forget();
    const expected = tried.next === 'probe' ? [...tried.answers, 200] : tried.answers;
    const client = await RawClient.open((this.server.address() as AddressInfo).port);
    let sent = 0;
    for (const piece of [...pieces, PROBE]) {
      client.write(piece);
      sent += piece.length;
      await this.read(client, sent);
    }
    const answers = (): number[] =>
      [...client.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
    if (tried.next === 'body') {
      await client.until(() => answers().length >= expected.length, `${expected.length} answers`);
      client.socket.destroy();
    } else {
      await client.end();
      expect(client.received).toContain('Connection: close');
    }
    await until(() => gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, {
      what: 'nothing to be under way',
      every: 1,
    });
    // 100 comes only where the body was not there yet
    expect(answers().filter((status) => status !== 100)).toEqual(expected.filter((status) => status !== 100));
    const passed = tried.next === 'probe' ? [...tried.passed, PROBED] : tried.passed;
    expect(upstream.seen.map(({ method, path, body }) => ({ method, path, body }))).toEqual(
      passed.map(({ method, path, body = '' }) => ({ method, path, body })),
    );
    // a proxy behind the gateway has its own way with fields
    if (this.direct)
      passed.forEach(({ fields = {} }: Passed, i) => {
        for (const [name, value] of Object.entries(fields))
          expect(upstream.seen[i]?.fields[name] ?? null, name).toBe(value);
      });
    expect([upstream.faults, gateway.metrics.faults]).toEqual([[], 0]);
    if (!tried.cut) expect(upstream.cut).toBe(0);
  }

  /** Resolves when the engine has read so many bytes of the newest connection, or reads no more for now. */
  private async read(client: RawClient, bytes: number): Promise<void> {
    for (let i = 0; i < 2000 && !client.closed; i++) {
      const socket = this.accepted.at(-1);
      if (socket && client.socket.localPort === socket.remotePort && (socket.bytesRead >= bytes || socket.isPaused()))
        return;
      await turn();
    }
  }
}
