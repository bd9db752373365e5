import { once } from 'node:events';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, type RecordingUpstream, recordingUpstream, until } from '#harness';
import type { Definition } from '#model';
import { call, exchange, RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';

let gateway: TestGateway;
let upstream: RecordingUpstream;
const servers: RawServer[] = [];

beforeEach(async () => {
  gateway = await TestGateway.start();
  upstream = await recordingUpstream();
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
  for (const server of servers.splice(0)) await server.close();
});

function load(targets: string[], more: Partial<Definition['upstream']> = {}): void {
  const definition = definitionOf({
    security: 'open',
    routes: [{ method: '*', path: '/*' }],
    upstream: { targets: targets.map((url) => ({ url })), ...more },
  });
  gateway.load(placed(definition));
}

async function raw(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const server = await rawServer(onConnection);
  servers.push(server);
  return server;
}

const refusing = async (): Promise<string> => `http://127.0.0.1:${(await freePorts(1))[0]}`;
const get = (method = 'GET', body?: string) => call(gateway.port, method, '/weather/v1/a', {}, body);

describe('G3 an upstream that', () => {
  it('refuses connections is answered for with 503', async () => {
    load([await refusing(), await refusing()]);
    expect(await get()).toMatchObject({ status: 503, code: 'no_healthy_upstream' });
    expect(gateway.pools.outstanding).toBe(0);
  });

  it('refuses connections is passed over for another target, whatever the method and body', async () => {
    load([await refusing(), upstream.url]);
    for (let i = 0; i < 4; i++) expect((await get('POST', `body ${i}`)).status).toBe(200);
    expect(upstream.requests.map(({ body }) => body.toString())).toEqual(['body 0', 'body 1', 'body 2', 'body 3']);
  });

  it('refuses connections is not passed over more often than the API allows', async () => {
    load([await refusing(), await refusing(), await refusing(), upstream.url], { retries: 0 });
    expect(await get()).toMatchObject({ status: 502, code: 'upstream_failed' });
  });

  it('has a name that nobody knows is answered for with 503', async () => {
    load(['http://no-such-host.invalid:80']);
    expect(await get()).toMatchObject({ status: 503, code: 'no_healthy_upstream' });
  });

  it('does not take a connection in time is answered for with 504', async () => {
    load(['http://192.0.2.1:81'], { connectTimeoutMs: 200 }); // a network that leads nowhere (RFC 5737)
    const answer = await get();
    expect([503, 504]).toContain(answer.status); // a machine without a route says so at once
    expect(gateway.pools.outstanding).toBe(0);
  });

  it('hangs is answered for with 504, and not asked again', async () => {
    let connections = 0;
    const hanging = await raw(() => (connections += 1));
    load([hanging.url, hanging.url.replace('127.0.0.1', 'localhost')], {
      connectTimeoutMs: 100,
      responseTimeoutMs: 100,
      retries: 3,
    });
    expect(await get()).toMatchObject({ status: 504, code: 'upstream_timeout' });
    expect(connections).toBe(1);
    expect(gateway.pools.outstanding).toBe(0);
  });

  it('hangs while the body is on its way is answered for with 504', async () => {
    const hanging = await raw((socket) => socket.pause());
    load([hanging.url], { connectTimeoutMs: 100, responseTimeoutMs: 300 });
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n');
    const chunk = Buffer.alloc(1_000_000);
    for (let i = 0; i < 50; i++) client.socket.write(chunk);
    await client.has('upstream_timeout');
    client.socket.destroy();
  });

  it('has answered in time is not late because the gateway itself stood still', async () => {
    const upstream = await raw((socket) =>
      socket.on('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000); // both are in this process
      }),
    );
    load([upstream.url], { connectTimeoutMs: 400, responseTimeoutMs: 400 });
    expect(await get()).toMatchObject({ status: 200, text: 'ok' });
  });

  it('is asked late is not late because the gateway itself stood still before it asked', async () => {
    let stood = false;
    const upstream = await raw((socket) => {
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
      if (!stood) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000); // both are in this process
      stood = true;
    });
    load([upstream.url], { connectTimeoutMs: 300, responseTimeoutMs: 300 });
    expect(await get()).toMatchObject({ status: 200, text: 'ok' });
  });

  it.each([10, 100_000])(
    'waits for a slow body of %d bytes is given the time that the client takes',
    async (length) => {
      load([upstream.url], { connectTimeoutMs: 100, responseTimeoutMs: 100 });
      const client = await RawClient.open(gateway.port);
      client.write(`POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\nhello`);
      await new Promise((resolve) => setTimeout(resolve, 700)); // longer than all timeouts of the API together
      client.write('w'.repeat(length - 5));
      await client.has('HTTP/1.1 200');
      client.socket.destroy();
    },
  );

  it('breaks before it answers is asked once more for what may be sent twice, and is still there to be sent', async () => {
    upstream.fault = { kind: 'reset', at: 'head' };
    load([upstream.url], { healthChecks: { passive: { failures: 0 } } });
    expect(await get()).toMatchObject({ status: 502, code: 'upstream_failed' });
    expect(upstream.requests).toHaveLength(2);
    expect(await get('POST', 'once')).toMatchObject({ status: 502 });
    expect(await get('POST')).toMatchObject({ status: 502 });
    expect(upstream.requests).toHaveLength(4);
    expect(await get('PUT', 'twice')).toMatchObject({ status: 502 });
    expect(upstream.requests.slice(4).map(({ body }) => body.toString())).toEqual(['twice', 'twice']);
    expect(await get('PUT', 'streamed'.repeat(10_000))).toMatchObject({ status: 502 });
    expect(upstream.requests).toHaveLength(7);
  });

  it('breaks before it answers makes room for another target', async () => {
    const breaking = await raw((socket) => socket.on('data', () => socket.resetAndDestroy()));
    load([breaking.url, upstream.url]);
    for (let i = 0; i < 6; i++) expect((await get()).status).toBe(200);
  });

  it.each([
    ['garbage', 'this is not HTTP\r\n\r\n'],
    ['nothing', ''],
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(20_000)}`],
    ['a long field', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['a status that is none', 'HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n'],
    ['length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['another transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab'],
    ['a folded field', 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
    ['bare line feeds', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
    [
      'chunks that are none, in the same breath',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n',
    ],
    ['interim answers without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100)],
  ])('answers with %s is answered for with 502', async (_, bytes) => {
    const server = await raw((socket) => socket.on('data', () => socket.end(bytes)));
    load([server.url]);
    expect(await get()).toMatchObject({ status: 502, code: 'upstream_failed' });
    expect(gateway.pools.outstanding).toBe(0);
  });

  it.each([
    ['by length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    ['by garbage', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', 'zz\r\n'],
  ])('breaks in the middle of a body %s breaks the connection of the client: nothing looks whole', async (...row) => {
    const [, bytes, more = ''] = row;
    const server = await raw((socket) => socket.on('data', () => socket.write(bytes)));
    load([server.url]);
    const request = httpRequest({ port: gateway.port, path: '/weather/v1/a', agent: false }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    request.on('error', () => undefined); // told to the response as well
    server.sockets[0]?.end(more);
    await expect(response.toArray()).rejects.toThrow('aborted');
  });

  it('breaks in the middle of a body resets the connection of a client that knows no lengths', async () => {
    const server = await raw((socket) =>
      socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')),
    );
    load([server.url]);
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.0\r\n\r\n');
    await client.until(() => client.closed, 'the end');
    expect(client.error).toBe('ECONNRESET');
  });

  it('closes a connection that was kept between two requests costs no request', async () => {
    let answers = 0;
    const server = await raw((socket) => {
      socket.on('data', () => {
        answers += 1;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', () => socket.end());
      });
    });
    load([server.url]);
    for (let i = 0; i < 20; i++) expect((await get()).text).toBe('ok');
    expect(answers).toBe(20);
  });
});

describe('a client that goes away', () => {
  it('takes its upstream request along, before the head and after', async () => {
    for (const before of ['', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf']) {
      const server = await raw((socket) => socket.on('data', () => socket.write(before)));
      load([server.url]);
      const client = await RawClient.open(gateway.port);
      client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
      await until(() => server.sockets[0], { what: 'the upstream to be asked' });
      if (before !== '') await client.has('half');
      client.socket.destroy();
      await until(() => server.sockets[0]?.destroyed, { what: 'the upstream connection to be broken off' });
      await until(() => gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, {
        what: 'nothing to be under way',
      });
    }
    expect(await gateway.scrape()).toContain(
      'heliograph_gateway_requests_total{api="weather:v1",status="aborted",region="eu-west"} 2',
    );
  });

  it('takes its upload along', async () => {
    let broken = false;
    const server = await raw((socket) => socket.on('close', () => (broken = true)).resume());
    load([server.url]);
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome');
    await until(() => server.sockets[0], { what: 'the upstream to be asked' });
    client.socket.destroy();
    await until(() => broken && gateway.pools.outstanding === 0, { what: 'the upload to be broken off' });
  });
});

describe('targets', () => {
  it('get requests by their weights when nothing else tells them apart', async () => {
    const other = await recordingUpstream();
    const definition = definitionOf({
      security: 'open',
      upstream: { targets: [{ url: upstream.url, weight: 3 }, { url: other.url }] },
    });
    gateway.load(placed(definition));
    for (let i = 0; i < 40; i++) await call(gateway.port, 'GET', '/weather/v1/today');
    expect([upstream.requests.length, other.requests.length]).toEqual([30, 10]);
    await other.close();
  });

  it('that are busy get fewer', async () => {
    const busy = await raw(() => undefined);
    load([busy.url, upstream.url], { responseTimeoutMs: 60_000 });
    const both = [get(), get()].map((answer) => answer.catch(() => null)); // one of them never gets an answer
    await until(() => busy.sockets.length === 1 && upstream.requests.length === 1, { what: 'each target to be asked' });
    for (let i = 0; i < 10; i++) expect((await get()).status).toBe(200);
    expect(upstream.requests).toHaveLength(11);
    await gateway.engine.drain(0);
    await Promise.all(both);
  });
});

describe('a fault of the gateway itself', () => {
  it.each(['choose', 'acquire'] as const)('costs the request that met it in %s, and no other', async (method) => {
    load([upstream.url]);
    const { pools } = gateway;
    const right = pools[method];
    pools[method] = () => {
      throw new Error('a bug');
    };
    expect(await get()).toMatchObject({ status: 500, code: 'internal' });
    pools[method] = right as never;
    expect((await get()).status).toBe(200);
    expect(gateway.metrics).toMatchObject({ faults: 1, inFlight: 0 });
  });

  it('ends the connection with the answer that tells of it: what was read with the request is looked at by nobody', async () => {
    load([upstream.url]);
    const { pools } = gateway;
    const right = pools.acquire.bind(pools);
    pools.acquire = () => {
      pools.acquire = right;
      throw new Error('a bug');
    };
    const body = 'GET /weather/v1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
    const text = await exchange(
      gateway.port,
      `POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}${body}`,
    );
    expect(text).toMatch(/^HTTP\/1.1 500 [\s\S]*Connection: close/);
    expect(text.match(/HTTP\/1.1 /g)).toHaveLength(1);
    expect(upstream.requests).toEqual([]);
  });

  it('after the answer costs the connection', async () => {
    load([upstream.url]);
    const { metrics } = gateway;
    const right = metrics.count.bind(metrics);
    metrics.count = () => {
      throw new Error('a bug');
    };
    const text = await exchange(gateway.port, 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    metrics.count = right;
    expect((await get()).status).toBe(200);
    expect(gateway.metrics.faults).toBe(1);
  });
});
