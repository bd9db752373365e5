import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { buffer } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import type { Definition } from '#model';
import { Authority } from '../../testing/authority.js';
import { type Answered, call } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { MovableClock } from '../../testing/movable-clock.js';
import { TestGateway } from '../../testing/test-gateway.js';

type Upstream = Definition['upstream'];

const FAILED = { status: 502, code: 'upstream_tls_failed' };

let authority: Authority;
let pairs: Record<'server' | 'address' | 'expired' | 'client' | 'other', { cert: string; key: string }>;
let directory: string;
let clock: MovableClock;
let gateway: TestGateway;
let logged: string[];
const servers: Server[] = [];

beforeAll(() => {
  authority = new Authority();
  pairs = {
    server: authority.issue('server', 'DNS:localhost'),
    address: authority.issue('address', 'IP:127.0.0.1'),
    expired: authority.issue('expired', 'DNS:localhost', true),
    client: authority.issue('client', 'DNS:client'),
    other: authority.issue('other', 'DNS:other'),
  };
});

afterAll(() => authority.remove());

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'heliograph-pairs-'));
  clock = new MovableClock();
  logged = [];
  const log = pino({ level: 'error' }, { write: (line: string) => void logged.push(line) });
  gateway = new TestGateway(null, clock, {}, { certificates: directory, log });
  await gateway.listen();
});

afterEach(async () => {
  await gateway.stop();
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
  rmSync(directory, { recursive: true });
});

/** An upstream that answers with its request's body, or with the name that the client's certificate has. */
async function upstream(
  pair: { cert: string; key: string },
  more: object = {},
): Promise<{ port: number; made: number }> {
  const seen = { port: 0, made: 0 };
  const server = createServer({ ...pair, ...more }, (request, response) => {
    const peer = (request.socket as TLSSocket).getPeerCertificate();
    void buffer(request).then((body) => response.end(body.length > 0 ? body : (peer.subject?.CN ?? 'nobody')));
  });
  server.on('secureConnection', () => (seen.made += 1));
  server.on('tlsClientError', () => undefined);
  servers.push(server);
  server.listen(0);
  await once(server, 'listening');
  seen.port = (server.address() as AddressInfo).port;
  return seen;
}

function load(url: string, tls?: Upstream['tls'], more: Partial<Upstream> = {}): void {
  const routes = [{ method: '*' as const, path: '/*' }];
  const definition = {
    security: 'open' as const,
    routes,
    upstream: { targets: [{ url }], ...(tls && { tls }), ...more },
  };
  gateway.load(placed(definitionOf(definition)));
}

const get = (): Promise<Answered> => call(gateway.port, 'GET', '/weather/v1/a');

/** @param cert that of this pair, with that key */
function writePair(cert: keyof typeof pairs, key = cert): void {
  for (const [file, text] of [
    ['partner.key', pairs[key].key],
    ['partner.crt', pairs[cert].cert],
  ] as const) {
    writeFileSync(join(directory, `${file}.new`), text);
    renameSync(join(directory, `${file}.new`), join(directory, file));
  }
}

describe('an upstream by TLS', () => {
  it('is not asked when nobody vouches for its certificate, and the log says so once', async () => {
    const { port } = await upstream(pairs.server);
    load(`https://localhost:${port}`);
    for (let i = 0; i < 3; i++) expect(await get()).toMatchObject(FAILED);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toContain('unable to verify the first certificate');
  });

  it('is asked when an authority of the definition vouches for it', async () => {
    const { port } = await upstream(pairs.server);
    load(`https://localhost:${port}`, { ca: authority.ca });
    expect(await get()).toMatchObject({ status: 200, text: 'nobody' });
  });

  it('is trusted by the API that says so, and by no other that has the same target', async () => {
    const { port } = await upstream(pairs.server);
    load(`https://localhost:${port}`, { ca: authority.ca });
    expect((await get()).status).toBe(200);
    const target = { targets: [{ url: `https://localhost:${port}` }] };
    const routes = [{ method: 'GET' as const, path: '/a' }];
    gateway.load(placed(definitionOf({ name: 'b', context: '/b', security: 'open', routes, upstream: target })));
    expect(await call(gateway.port, 'GET', '/b/a')).toMatchObject(FAILED);
  });

  it.each([
    ['is for another name', 'server', '127.0.0.1', {}],
    ['is for another name than the one that is asked for', 'server', 'localhost', { serverName: 'weather.internal' }],
    ['has expired', 'expired', 'localhost', {}],
  ] as const)('is not asked when its certificate %s', async (_, pair, host, more) => {
    const { port } = await upstream(pairs[pair]);
    load(`https://${host}:${port}`, { ca: authority.ca, ...more });
    expect(await get()).toMatchObject(FAILED);
  });

  it('may have an address in its certificate, or the name that is asked for', async () => {
    const byAddress = await upstream(pairs.address);
    load(`https://127.0.0.1:${byAddress.port}`, { ca: authority.ca });
    expect((await get()).status).toBe(200);
    let asked = '';
    const SNICallback = (name: string, done: (error: null) => void): void => {
      asked = name;
      done(null);
    };
    const byName = await upstream(pairs.server, { SNICallback });
    load(`https://127.0.0.1:${byName.port}`, { ca: authority.ca, serverName: 'localhost' });
    expect((await get()).status).toBe(200);
    expect(asked).toBe('localhost');
  });

  it('is not asked below the version that the definition wants', async () => {
    const { port } = await upstream(pairs.server, { maxVersion: 'TLSv1.2' });
    load(`https://localhost:${port}`, { ca: authority.ca, minVersion: '1.3' });
    expect(await get()).toMatchObject(FAILED);
    load(`https://localhost:${port}`, { ca: authority.ca });
    expect((await get()).status).toBe(200);
  });

  it('gets large bodies and answers with them, on connections that are used again', async () => {
    const seen = await upstream(pairs.server);
    load(`https://localhost:${seen.port}`, { ca: authority.ca });
    const body = randomBytes(3_000_000).toString('base64');
    for (let i = 0; i < 3; i++) expect((await call(gateway.port, 'POST', '/weather/v1/a', {}, body)).text).toBe(body);
    expect(seen.made).toBe(1);
  });

  it.each([
    ['never ends its handshake', (socket: Socket) => socket.resume(), { status: 504, code: 'upstream_timeout' }],
    ['speaks no TLS', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'), FAILED],
    ['breaks off its handshake', (socket: Socket) => socket.once('data', () => socket.destroy()), FAILED],
  ])('G3 that %s is answered for in time', async (_, onConnection, answer) => {
    const tcp: TcpServer = createTcpServer(onConnection).listen(0);
    await once(tcp, 'listening');
    const { port } = tcp.address() as AddressInfo;
    load(`https://localhost:${port}`, { ca: authority.ca }, { connectTimeoutMs: 300 });
    expect(await get()).toMatchObject(answer);
    tcp.close();
  });
});

describe('an upstream that wants to see a certificate', () => {
  const tls = (): Upstream['tls'] => ({ ca: authority.ca, clientCertificate: 'partner' });
  const mutual = (more: object = {}) =>
    upstream(pairs.server, { ca: authority.ca, requestCert: true, rejectUnauthorized: true, ...more });

  it.each(['TLSv1.2', 'TLSv1.3'])('is shown that of the machine by %s', async (maxVersion) => {
    const { port } = await mutual({ maxVersion });
    writePair('client');
    load(`https://localhost:${port}`, tls());
    expect(await get()).toMatchObject({ status: 200, text: 'client' });
  });

  it('and is shown none is told of by a code of its own, or breaks the connection after it by TLS 1.3', async () => {
    for (const [maxVersion, code] of [
      ['TLSv1.2', 'upstream_tls_failed'],
      ['TLSv1.3', 'upstream_failed'],
    ]) {
      const { port } = await mutual({ maxVersion });
      load(`https://localhost:${port}`, { ca: authority.ca });
      expect(await get()).toMatchObject({ status: 502, code });
    }
  });

  it.each([
    ['is missing', () => undefined, 'partner.crt'],
    ['has the key of another', () => writePair('client', 'other'), 'is not the key of'],
    ['has expired', () => writePair('expired'), 'expired at 2020-02-01'],
    ['is no certificate', () => (writePair('client'), writeFileSync(join(directory, 'partner.crt'), 'x')), 'in PEM'],
  ])('is not asked without it when the pair %s', async (_, write, reason) => {
    const seen = await upstream(pairs.server);
    write();
    load(`https://localhost:${seen.port}`, tls());
    expect(await get()).toMatchObject(FAILED);
    expect(seen.made).toBe(0);
    expect(logged.join('')).toContain(reason);
    expect(logged.join('')).not.toContain('PRIVATE KEY');
  });

  it('is not asked when the replica has no directory of certificates', async () => {
    const { port } = await mutual();
    const bare = new TestGateway(null, clock);
    await bare.listen();
    bare.load(
      placed(
        definitionOf({
          security: 'open',
          routes: [{ method: 'GET', path: '/a' }],
          upstream: { targets: [{ url: `https://localhost:${port}` }], tls: tls() },
        }),
      ),
    );
    expect(await call(bare.port, 'GET', '/weather/v1/a')).toMatchObject(FAILED);
    await bare.stop();
  });

  it('is shown the new one when the files change, on new connections; half of a change changes nothing', async () => {
    const seen = await mutual();
    writePair('client');
    load(`https://localhost:${seen.port}`, tls());
    expect((await get()).text).toBe('client');
    writeFileSync(join(directory, 'partner.key'), pairs.other.key);
    clock.move(1001);
    await until(() => logged.length === 1, { what: 'the half-written pair to be told' });
    expect((await get()).text).toBe('client');
    expect(readFileSync(join(directory, 'partner.crt'), 'utf8')).toBe(pairs.client.cert);
    writeFileSync(join(directory, 'partner.crt'), pairs.other.cert);
    clock.move(1001);
    await until(async () => (await get()).text === 'other', { what: 'the new certificate to be shown' });
    expect(seen.made).toBe(2);
  });
});
