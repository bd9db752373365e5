import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import { call, exchange, RawClient } from '../../testing/clients.js';
import { MovableClock } from '../../testing/movable-clock.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';

let gateway: TestGateway;
let upstream: RecordingUpstream;

beforeEach(async () => {
  upstream = await recordingUpstream();
  gateway = await TestGateway.start(
    placed(
      definitionOf({
        security: 'open',
        routes: [{ method: '*', path: '/*' }],
        upstream: { targets: [{ url: upstream.url }] },
      }),
    ),
  );
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
});

const HEAD = 'Host: a\r\n';
const post = (fields: string, body = ''): string => `POST /weather/v1/a HTTP/1.1\r\n${HEAD}${fields}\r\n\r\n${body}`;

describe('what is no strict HTTP/1.1', () => {
  it.each([
    ['length and transfer coding together', post('Content-Length: 3\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
    ['two lengths', post('Content-Length: 3\r\nContent-Length: 3', 'abc'), 400],
    ['a list of lengths', post('Content-Length: 3, 3', 'abc'), 400],
    ['a signed length', post('Content-Length: +3', 'abc'), 400],
    ['a hexadecimal length', post('Content-Length: 0x3', 'abc'), 400],
    ['another transfer coding', post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'), 501],
    ['a transfer coding that is not known', post('Transfer-Encoding: xchunked', '0\r\n\r\n'), 501],
    ['a transfer coding without chunks', post('Transfer-Encoding: identity'), 501],
    ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\nbytes for somebody else', 501],
    ['a transfer coding twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
    ['a transfer coding that does not end in chunked', post('Transfer-Encoding: chunked, identity', '0\r\n\r\n'), 400],
    ['a folded field', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}X: a\r\n b\r\n\r\n`, 400],
    ['a bare LF', `GET /weather/v1/a HTTP/1.1\n${HEAD}\r\n`, 400],
    ['a bare LF after a field', `GET /weather/v1/a HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n`, 400],
    ['a NUL', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}X: a\0b\r\n\r\n`, 400],
    ['a space before the colon', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}X : a\r\n\r\n`, 400],
    ['no Host', 'GET /weather/v1/a HTTP/1.1\r\n\r\n', 400],
    ['two Hosts', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}Host: b\r\n\r\n`, 400],
    ['a bad chunk size', post('Transfer-Encoding: chunked', 'zz\r\nabc\r\n0\r\n\r\n'), 400],
    ['a chunk that is longer than it says', post('Transfer-Encoding: chunked', '2\r\nabc\r\n0\r\n\r\n'), 400],
    ['a head that is too large', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}X: ${'y'.repeat(17_000)}\r\n\r\n`, 431],
    ['too many fields', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}${'X: y\r\n'.repeat(100)}\r\n`, 431],
    ['another protocol', 'GET /weather/v1/a HTTPS/1.1\r\n\r\n', 400],
    ['another version', `GET /weather/v1/a HTTP/3.1\r\n${HEAD}\r\n`, 505],
    ['another minor version', `GET /weather/v1/a HTTP/1.2\r\n${HEAD}\r\n`, 505],
    ['a version without a number', `GET /weather/v1/a HTTP/x.1\r\n${HEAD}\r\n`, 400],
    ['a method that nobody knows', `BREW /weather/v1/a HTTP/1.1\r\n${HEAD}\r\n`, 501],
    ['a method in lower case', `get /weather/v1/a HTTP/1.1\r\n${HEAD}\r\n`, 501],
    ['a target that is too long', `GET /weather/v1/${'a'.repeat(17_000)} HTTP/1.1\r\n${HEAD}\r\n`, 414],
    ['two spaces before the target', `GET  /weather/v1/a HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['a tab before the target', `GET\t/weather/v1/a HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['two empty lines before it', `\r\n\r\nGET /weather/v1/a HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['chunks in HTTP/1.0', `POST /weather/v1/a HTTP/1.0\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    ['an underscore where a dash frames the message', post('Content_Length: 3', 'abc'), 400],
    ['a Host that is none', `GET /weather/v1/a HTTP/1.1\r\nHost: a/b\r\n\r\n`, 400],
    ['a bare CR in a value', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}X: a\rb\r\n\r\n`, 400],
    ['a name with a space', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}X y: a\r\n\r\n`, 400],
    ['a field without a name', `GET /weather/v1/a HTTP/1.1\r\n${HEAD}: a\r\n\r\n`, 400],
    ['a chunk extension', post('Transfer-Encoding: chunked', '3;a=b\r\nabc\r\n0\r\n\r\n'), 400],
    ['a space after a chunk size', post('Transfer-Encoding: chunked', '3 \r\nabc\r\n0\r\n\r\n'), 400],
    ['a chunk size of nine digits', post('Transfer-Encoding: chunked', '000000003\r\nabc\r\n0\r\n\r\n'), 400],
    ['a bare LF after a chunk size', post('Transfer-Encoding: chunked', '3\nabc\r\n0\r\n\r\n'), 400],
    ['trailers that are none', post('Transfer-Encoding: chunked', '0\r\nX y: 1\r\n\r\n'), 400],
    ['no method', `/weather/v1/a HTTP/1.1\r\n${HEAD}\r\n`, 400],
    [
      'an upgrade to anything else',
      `GET /weather/v1/a HTTP/1.1\r\n${HEAD}Connection: upgrade\r\nUpgrade: TLS/1.0\r\n\r\n`,
      400,
    ],
    ['an upgrade with a body', post('Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1', 'a'), 400],
    ['an absolute target', `GET http://a/weather/v1/a HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['dots', `GET /weather/v1/b/../a HTTP/1.1\r\n${HEAD}\r\n`, 400],
    ['an asterisk', `OPTIONS * HTTP/1.1\r\n${HEAD}\r\n`, 400],
  ])('is refused: %s', async (_, bytes, status) => {
    const client = await RawClient.open(gateway.port);
    client.write(bytes);
    await client.has('\r\n\r\n{');
    expect(client.received).toMatch(
      new RegExp(`^HTTP/1.1 ${status} [^\r]+\r\nContent-Type: application/problem\\+json`),
    );
    expect(client.received).toContain(`"code":"bad_request","status":${status},`);
    client.socket.destroy();
    expect(upstream.requests).toEqual([]);
  });

  it('leaves nothing of its connection to be used again', async () => {
    const smuggled = 'GET /weather/v1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
    for (const bytes of [
      post('Content-Length: 3\r\nTransfer-Encoding: chunked', `0\r\n\r\n${smuggled}`),
      post('Transfer-Encoding: chunked', `zz\r\n${smuggled}`),
      post('Content-Length: 1, 1', smuggled),
      post('Transfer-Encoding: x, chunked', `0\r\n\r\n${smuggled}`),
      post('Transfer-Encoding: xchunked', `0\r\n\r\n${smuggled}`),
      `CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n${smuggled}`,
    ]) {
      const text = await exchange(gateway.port, bytes, smuggled);
      expect(text.match(/HTTP\/1.1 /g)).toHaveLength(1);
      expect(text).toContain('Connection: close');
    }
    expect(upstream.requests).toEqual([]);
  });

  it('never answers before an earlier request', async () => {
    upstream.fault = { kind: 'delay', ms: 100 };
    const earlier = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n';
    const text = await exchange(gateway.port, `${earlier}CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 501']);
    await until(() => gateway.metrics.inFlight === 0, { what: 'nothing to be under way' });
  });

  it('is told apart from what is merely unusual', async () => {
    const fine = `\r\nGET /weather/v1/a?x=|{} HTTP/1.1\r\n${HEAD}X:  padded\t \r\nEmpty:\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`;
    expect(await exchange(gateway.port, fine)).toMatch(/^HTTP\/1.1 200 /);
    expect(upstream.requests[0]?.headers).toMatchObject({ x: 'padded', empty: '' });
    expect(upstream.requests[0]?.headers).not.toHaveProperty('http2-settings');
  });

  it('in pieces is understood as it is whole', async () => {
    const bytes = post('Transfer-Encoding: chunked\r\nConnection: close', '3\r\nabc\r\n0\r\n\r\n');
    const client = await RawClient.open(gateway.port);
    for (const byte of bytes) {
      client.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.end()).toMatch(/^HTTP\/1.1 200 /);
    expect(upstream.requests[0]?.body.toString()).toBe('abc');
  });
});

describe('requests on one connection', () => {
  it('are answered in order, and sent upstream one after the other', async () => {
    const requests = Array.from({ length: 40 }, (_, i) => `GET /weather/v1/${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const client = await RawClient.open(gateway.port);
    client.write(requests.join(''));
    await client.has('"url":"/39"');
    const urls = [...client.received.matchAll(/"url":"\/(\d+)"/g)].map(([, n]) => Number(n));
    expect(urls).toEqual(Array.from({ length: 40 }, (_, i) => i));
    expect(upstream.requests.map(({ url }) => url)).toEqual(urls.map((n) => `/${n}`));
    client.socket.destroy();
  });

  it('with bodies follow each other, whatever comes in one piece', async () => {
    const request = (n: number): string =>
      `POST /weather/v1/${n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n<${n}>POST /weather/v1/${n} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[${n}]\r\n0\r\n\r\n`;
    const client = await RawClient.open(gateway.port);
    client.write(Array.from({ length: 8 }, (_, i) => request(i)).join(''));
    await until(() => upstream.requests.length === 16, { what: 'all requests to arrive' });
    const bodies = upstream.requests.map(({ url, body }) => `${url} ${body.toString()}`);
    expect(bodies).toEqual(Array.from({ length: 8 }, (_, i) => [`/${i} <${i}>`, `/${i} [${i}]`]).flat());
    client.socket.destroy();
  });

  it('G4 that are sent ahead are not read before their turn, and none is lost', async () => {
    upstream.fault = { kind: 'hang' };
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => upstream.requests.length === 1, { what: 'the first one to arrive' });
    const body = Buffer.alloc(20_000_000, 'x');
    client.write(`POST /weather/v1/b HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`).write(body);
    let before = -1;
    const still = (): boolean => before === (before = client.socket.bytesWritten - client.socket.writableLength);
    await until(still, { what: 'nothing to move any more', every: 200 });
    expect(client.socket.writableLength).toBeGreaterThan(body.length / 2);
    upstream.fault = undefined;
    await upstream.close();
    await client.until(() => client.received.match(/HTTP\/1.1 50\d/g)?.length === 2, 'both answers');
    client.socket.destroy();
  });

  it('G4 in numbers that nobody means end the connection', async () => {
    upstream.fault = { kind: 'hang' };
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(10_000));
    await client.until(() => client.closed, 'the end');
    await until(() => gateway.metrics.inFlight === 0, { what: 'nothing to be under way' });
    expect(upstream.requests.length).toBeLessThan(2);
  });

  it('are cut off after a malformed one, whose predecessors are answered', async () => {
    const get = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n';
    const text = await exchange(gateway.port, `${get}nonsense\r\n\r\n${get}`);
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
    expect(upstream.requests).toHaveLength(1);
  });
});

describe('a connection', () => {
  it('is ended when the gateway drains, after the answer that is under way', async () => {
    upstream.fault = { kind: 'delay', ms: 300 };
    const idle = await RawClient.open(gateway.port);
    idle.write('GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n');
    await idle.has('no_such_api');
    const busy = await RawClient.open(gateway.port);
    busy.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => upstream.requests.length === 1, { what: 'the request to arrive' });
    const drained = gateway.engine.drain(5000);
    await idle.end();
    expect(await busy.end()).toMatch(/^HTTP\/1.1 200 [\s\S]*Connection: close[\s\S]*"url":"\/a"/);
    await drained;
    await expect(call(gateway.port, 'GET', '/weather/v1/a')).rejects.toThrow('ECONNREFUSED');
  });

  it('is kept for its time when the gateway drains, however long it was idle before', async () => {
    const clock = new MovableClock();
    gateway = new TestGateway(null, clock, { idleMs: 1e9 });
    gateway.load(placed(definitionOf({ security: 'open', policies: { mock: { status: 200, body: 'ok' } } })));
    await gateway.listen();
    const client = await RawClient.open(gateway.port);
    const ask = 'GET /weather/v1/today HTTP/1.1\r\nHost: a\r\n\r\n';
    await client.write(ask).has('HTTP/1.1 200');
    clock.move(60_000);
    const drained = gateway.engine.drain(30_000, 10_000);
    expect((await client.write(ask).end()).match(/HTTP\/1.1 200|Connection: close/g)).toHaveLength(3);
    await drained;
  });

  it('is broken off when the time to drain is over', async () => {
    upstream.fault = { kind: 'hang' };
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => upstream.requests.length === 1, { what: 'the request to arrive' });
    await gateway.engine.drain(50);
    expect(await client.end()).toBe('');
  });
});
