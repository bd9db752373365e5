import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { request } from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { freePorts, makeCertificate, startApp, type TestCertificate, until } from '#harness';
import { certificateOf, TestGateway } from '../../testing/test-gateway.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import type { Limits } from '../engine/limits.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'helio-tls-'));
  cleanups.push(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function shownTo(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  await once(socket, 'secureConnect');
  const name = socket.getPeerCertificate().subject.CN;
  socket.destroy();
  return String(name);
}

describe('a port in TLS', () => {
  it('shows each client the certificate for the name that it asks for, and the first one else', async () => {
    const gateway = new TestGateway();
    cleanups.push(() => gateway.stop());
    await gateway.listen();
    await gateway.listenTls(
      makeCertificate({ names: ['first'] }),
      makeCertificate({ names: ['api.example.com'] }),
      makeCertificate({ names: ['old', '*.example.com'], days: 1 }),
      makeCertificate({ names: ['new', '*.example.com'], days: 20 }),
    );
    const show = (servername?: string): Promise<string> => shownTo(gateway.tlsPort, servername ? { servername } : {});
    expect(await show()).toBe('first');
    expect(await show('nobody.net')).toBe('first');
    expect(await show('api.example.com')).toBe('api.example.com');
    expect(await show('WWW.example.com')).toBe('new');
    expect(await show('a.b.example.com')).toBe('first');
    gateway.tls?.use([certificateOf(makeCertificate({ names: ['later', 'api.example.com'] }))]);
    expect([await show(), await show('api.example.com')]).toEqual(['later', 'later']);
  });

  it('carries WebSocket, which comes by HTTP/1.1', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    cleanups.push(() => server.close());
    await once(server, 'listening');
    server.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
    const { port } = server.address() as { port: number };
    const upstream = { targets: [{ url: `http://127.0.0.1:${port}` }] };
    const definition = definitionOf({ security: 'open', routes: [{ method: '*', path: '/*' }], upstream });
    const gateway = await TestGateway.start(placed(definition));
    cleanups.push(() => gateway.stop());
    await gateway.listenTls();
    const socket = new WebSocket(`wss://127.0.0.1:${gateway.tlsPort}/weather/v1/a`, { rejectUnauthorized: false });
    await once(socket, 'open');
    socket.send('hello');
    expect(String(((await once(socket, 'message')) as [Buffer])[0])).toBe('hello');
    socket.terminate();
  });
});

describe('G2 a client that is in its TLS handshake when the gateway drains', () => {
  const mock = definitionOf({ security: 'open', policies: { mock: { status: 200, body: 'served' } } });

  async function start(limits: Partial<Limits> = {}): Promise<TestGateway> {
    const gateway = new TestGateway(null, undefined, limits);
    cleanups.push(() => gateway.stop());
    gateway.load(placed(mock));
    await gateway.listen();
    await gateway.listenTls();
    return gateway;
  }

  /** @returns what a worker waits for before it ends */
  async function beginDrain(gateway: TestGateway): Promise<{ over: boolean; promise: Promise<void> }> {
    const drained = { over: false, promise: gateway.engine.drain(30_000, 10_000) };
    void drained.promise.then(() => (drained.over = true));
    await new Promise((resolve) => setImmediate(resolve));
    return drained;
  }

  /** A connection that the gateway has accepted. */
  async function accepted(gateway: TestGateway): Promise<Socket> {
    const expect = vi.spyOn(gateway.engine, 'expect');
    const socket = connectTcp(gateway.tlsPort, '127.0.0.1');
    cleanups.push(() => socket.destroy());
    await until(() => expect.mock.calls.length === 1, { what: 'the connection to be accepted' });
    return socket;
  }

  it('is served, and told that this is all', async () => {
    const gateway = await start();
    const socket = await accepted(gateway);
    const drained = await beginDrain(gateway);
    expect(drained.over).toBe(false);
    const secure = connect({ socket, rejectUnauthorized: false });
    secure.write('GET /weather/v1/today HTTP/1.1\r\nHost: a\r\n\r\n');
    expect((await buffer(secure)).toString()).toMatch(/^HTTP\/1.1 200 [\s\S]*Connection: close\r\n[\s\S]*served$/);
    secure.end();
    await drained.promise;
  });

  it('is served, too, when it speaks HTTP/2 and takes its time until the first request', async () => {
    const gateway = await start();
    const socket = await accepted(gateway);
    const drained = await beginDrain(gateway);
    const session = connectHttp2('https://localhost', {
      createConnection: () => connect({ socket, rejectUnauthorized: false, ALPNProtocols: ['h2'] }),
    });
    await once(session, 'remoteSettings');
    const { sweptAt } = gateway.engine;
    await until(() => gateway.engine.sweptAt > sweptAt, { what: 'a look at the connection' });
    await new Promise((resolve) => setImmediate(resolve));
    const stream = session.request({ ':path': '/weather/v1/today' });
    expect((await buffer(stream)).toString()).toBe('served');
    await drained.promise;
  });

  it('is waited for no longer than a handshake may take', async () => {
    const gateway = await start({ headMs: 300 });
    await accepted(gateway);
    const drained = await beginDrain(gateway);
    expect(drained.over).toBe(false);
    await drained.promise;
    expect(gateway.metrics.handshakeFailures).toBe(1);
  });
});

async function get(port: number, path: string): Promise<string> {
  const asked = request({ port, host: '127.0.0.1', path, agent: false, rejectUnauthorized: false });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return (await buffer(answer)).toString();
}

describe('a replica with certificates', () => {
  it('serves both ports in TLS, and takes new certificates without a restart', async () => {
    const files = directory();
    const write = ({ cert, key }: TestCertificate): void => {
      writeFileSync(join(files, 'tls.crt'), cert);
      writeFileSync(join(files, 'tls.key'), key);
    };
    write(makeCertificate({ names: ['first'] }));
    const chain = new ChainMaker();
    const store = openStore(pathToFileURL(directory()).href, { create: true });
    const mock = definitionOf({ security: 'open', policies: { mock: { status: 200, body: 'served' } } });
    await chain.publish(store, placed(mock));
    const [plain = 0, tls = 0, admin = 0] = await freePorts(3);
    const app = await startApp({
      app: 'replica',
      env: {
        HELIO_ENVIRONMENT: 'prod',
        HELIO_REGION: 'eu-west',
        HELIO_STATE_DIR: directory(),
        HELIO_WORKERS: '2',
        HELIO_BIND: '127.0.0.1',
        HELIO_POLL_SECONDS: '1',
        ARTIFACT_STORE: store.description,
        HELIO_TRUSTED_KEYS: chain.signer.publicKey,
        GATEWAY_PORT: `${plain}`,
        GATEWAY_TLS_PORT: `${tls}`,
        ADMIN_PORT: `${admin}`,
        HELIO_TLS_CERTIFICATES: files,
        HELIO_ADMIN_CERTIFICATES: `${files}/tls.crt:${files}/tls.key`,
      },
      ready: async () => (await get(admin, '/readyz')).includes('"status":"ready"') || (await isServed(tls)),
    });
    cleanups.push(() => app.stop());
    await until(() => isServed(tls), { what: 'the release to be served' });
    expect(await get(tls, '/weather/v1/today')).toBe('served');
    expect(await (await fetch(`http://127.0.0.1:${plain}/weather/v1/today`)).text()).toBe('served');
    const session = connectHttp2(`https://127.0.0.1:${tls}`, { rejectUnauthorized: false });
    const stream = session.request({ ':path': '/weather/v1/today' });
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status'?: number }];
    expect([headers[':status'], (await buffer(stream)).toString()]).toEqual([200, 'served']);
    session.destroy();

    write(makeCertificate({ names: ['second'] }));
    const isNew = async (port: number): Promise<boolean> => (await shownTo(port)) === 'second';
    for (const port of [tls, admin]) await until(() => isNew(port), { what: 'the new certificate', within: 30_000 });
    const status = JSON.parse(await get(admin, '/status')) as { certificates: object[] };
    expect(status.certificates).toMatchObject([
      { port: 'gateway', names: ['second'], fault: null },
      { port: 'admin', names: ['second'], fault: null },
    ]);
    expect(await get(admin, '/metrics')).toMatch(
      /heliograph_certificate_expiry_timestamp_seconds\{port="gateway",file=".*tls.crt",region="eu-west"\} 1\d{9}/,
    );
    expect(app.output()).not.toMatch(/PRIVATE/);
  });
});

async function isServed(port: number): Promise<boolean> {
  return (await get(port, '/weather/v1/today').catch(() => '')) === 'served';
}
