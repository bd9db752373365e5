import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import type { Definition } from '#model';
import { systemClock } from '#throttle';
import { call, type RawServer, RawClient, rawServer } from '../../../testing/clients.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed, SUBSCRIPTION } from '../../../testing/gateway-ops.js';
import { planOp } from '../../../testing/sample-ops.js';
import { TestGateway } from '../../../testing/test-gateway.js';

const KEYS = ['hg_live_one', 'hg_live_two'] as const;
const consumers = KEYS.flatMap((key, i) => {
  const application = APPLICATION.replace(/1$/, `${i}`);
  const subscription = { id: SUBSCRIPTION.replace(/1$/, `${i}`), api: 'weather:v1', plan: 'gold' } as const;
  return [applicationOp({}, application, { subscriptions: [subscription] }), keyOp(key, { application })];
});

let upstream: RecordingUpstream;
let gateway: TestGateway;
const servers: RawServer[] = [];

beforeEach(async () => {
  upstream = await recordingUpstream();
  gateway = await TestGateway.start();
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
  for (const server of servers.splice(0)) await server.close();
});

function load(policies: Definition['policies'] = {}, url = upstream.url): void {
  const definition = definitionOf({
    routes: [{ method: '*', path: '/*' }],
    upstream: { targets: [{ url }], retries: 0 },
    policies: { cache: { ttlSeconds: 600 }, ...policies },
  });
  gateway.load(placed(definition), planOp('gold', { rate: { limit: 1000, per: 'hour' }, quota: null }), consumers);
}

const ask = (path = '/a', headers: Record<string, string> = {}, method = 'GET') =>
  call(gateway.port, method, `/weather/v1${path}`, { 'x-api-key': KEYS[0], ...headers });

/** An upstream that answers each connection's first request with these bytes, and then ends it or breaks it. */
async function answering(bytes: string, end: 'end' | 'break'): Promise<RawServer> {
  const server = await rawServer((socket) =>
    socket.once('data', () =>
      socket.write(bytes, 'latin1', () => (end === 'end' ? socket.end() : socket.resetAndDestroy())),
    ),
  );
  servers.push(server);
  return server;
}

/** Seconds: how many of them a busy machine lets pass is no matter. */
const AGE = expect.stringMatching(/^\d+$/) as string;

describe('the policy cache', () => {
  it('answers the second request as the first, without the upstream, and tells the age', async () => {
    load();
    const first = await ask();
    const second = await ask();
    expect(upstream.requests).toHaveLength(1);
    expect([second.status, second.text]).toEqual([first.status, first.text]);
    expect(second.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(first.text.length),
      age: AGE,
      date: first.headers.date,
    });
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect([gateway.cache.hits, gateway.cache.misses]).toEqual([1, 1]);
  });

  it('answers other applications, each after its own checks and from its own limits', async () => {
    load();
    await ask();
    const answer = await ask('/a', { 'x-api-key': KEYS[1] });
    expect([answer.status, upstream.requests.length]).toEqual([200, 1]);
    expect(answer.headers['ratelimit']).toMatch(/r=999/);
    expect((await ask('/a', { 'x-api-key': 'wrong' })).code).toBe('credential_unknown');
  });

  it('keeps nothing that is private', async () => {
    load();
    upstream.fault = { kind: 'status', status: 200, headers: { 'cache-control': 'private, max-age=60' } };
    for (const key of KEYS) await ask('/a', { 'x-api-key': key });
    expect(upstream.requests).toHaveLength(2);
  });

  it.each(['X-Original-URL', 'X_Rewrite_URL', 'X-Original-Host', 'X-Host', 'X-Original-Method'])(
    'keeps for others what the upstream answers without %s of a caller',
    async (name) => {
      load();
      await ask('/a', { [name]: '/admin' });
      expect(upstream.requests[0]?.headers).not.toHaveProperty([name.toLowerCase()]);
      expect([(await ask()).headers.age, upstream.requests.length]).toEqual([AGE, 1]);
    },
  );

  it.each(['X-HTTP-Method-Override', 'X-Method-Override', 'X-HTTP-Method'])(
    'neither keeps nor gives an answer where %s says another method',
    async (name) => {
      load();
      await ask('/a', { [name]: 'DELETE' });
      expect((await ask()).headers.age).toBeUndefined();
      expect((await ask('/a', { [name]: 'DELETE' })).headers.age).toBeUndefined();
      expect(upstream.requests).toHaveLength(3);
      expect((await ask()).headers.age).toEqual(AGE);
    },
  );

  it('gives 304 to who has it already, and only the head for HEAD', async () => {
    load();
    upstream.fault = { kind: 'status', status: 200, headers: { etag: '"one"' } };
    const { text } = await ask();
    const held = await ask('/a', { 'if-none-match': '"one"' });
    expect([held.status, held.text, held.headers.etag]).toEqual([304, '', '"one"']);
    const head = await ask('/a', {}, 'HEAD');
    expect([head.status, head.text, head.headers['content-length']]).toEqual([200, '', String(text.length)]);
    expect(upstream.requests).toHaveLength(1);
  });

  it('edits headers anew each time, and answers each origin by its own', async () => {
    const origins = ['https://a.example.com', 'https://b.example.com'];
    load({ responseHeaders: { set: { 'X-Edited': '1' } }, cors: { origins } });
    for (const origin of origins) {
      const { headers } = await ask('/a', { origin });
      expect(headers).toMatchObject({ 'x-edited': '1', 'access-control-allow-origin': origin, vary: 'Origin' });
    }
    expect(upstream.requests).toHaveLength(1);
  });

  it('ends with the release, and with a write to the same URI', async () => {
    load();
    await ask();
    await ask('/a', {}, 'PUT');
    await ask();
    expect(upstream.requests.map(({ method }) => method)).toEqual(['GET', 'PUT', 'GET']);
    load({ maxBodyBytes: 1000 });
    await ask();
    expect(upstream.requests).toHaveLength(4);
  });

  it('keeps a chunked body, and none of an upstream that fails', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
    load({}, (await answering(chunked, 'end')).url);
    expect([(await ask()).text, (await ask()).text]).toEqual(['abcde', 'abcde']);
    expect(servers[0]?.sockets).toHaveLength(1);
    upstream.fault = { kind: 'status', status: 500 };
    load();
    for (let i = 0; i < 2; i++) expect((await ask('/b')).status).toBe(500);
  });

  it.each([
    ['a length that is not reached', 'Content-Length: 9\r\n\r\nabc', 'break'],
    ['a missing last chunk', 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', 'break'],
    ['nothing but the end of the connection', '\r\nabc', 'end'],
  ] as const)('keeps no body with %s', async (_, rest, end) => {
    load({}, (await answering(`HTTP/1.1 200 OK\r\n${rest}`, end)).url);
    for (let i = 0; i < 2; i++) await ask().catch(() => null);
    expect([servers[0]?.sockets.length, gateway.cache.bytes]).toEqual([2, 0]);
  });

  it('is not kept from others by a caller who takes an answer slowly', async () => {
    let now = 1_000_000;
    await gateway.stop();
    gateway = new TestGateway(null, { ...systemClock, monotonicMs: () => now });
    await gateway.listen();
    let requests = 0;
    const server = await rawServer((socket) =>
      socket.on('data', () => {
        requests += 1;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n${requests === 1 ? 'abc' : 'abcdef'}`);
      }),
    );
    servers.push(server);
    load({}, server.url);
    const slow = await RawClient.open(gateway.port);
    slow.write(`GET /weather/v1/a HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\nX-API-Key: ${KEYS[0]}\r\n\r\n`);
    await slow.has('abc');
    for (let i = 0; i < 2; i++) expect((await ask()).headers.age).toBeUndefined();
    now += 10_000;
    expect((await ask()).headers.age).toBeUndefined();
    expect(await ask()).toMatchObject({ text: 'abcdef', headers: { age: AGE } });
    expect(requests).toBe(4);
    server.sockets[0]?.write('def');
    await slow.has('abcdef');
    expect((await ask()).headers.age).toEqual(AGE);
    slow.socket.destroy();
  });

  it('G4 gives back what it lent to an answer whose client has gone', async () => {
    const server = await rawServer((socket) =>
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc')),
    );
    servers.push(server);
    load({}, server.url);
    const client = await RawClient.open(gateway.port);
    client.write(`GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX-API-Key: ${KEYS[0]}\r\n\r\n`);
    await client.has('abc');
    expect(gateway.cache.bytes).toBe(3);
    client.socket.destroy();
    await until(() => gateway.cache.bytes === 0, { what: 'the recording is over' });
  });
});
