import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import type { Definition } from '#model';
import { definitionOf, placed } from '../../../testing/gateway-ops.js';
import { TestGateway } from '../../../testing/test-gateway.js';

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

let gateway: TestGateway;
let upstream: Server;
let serve: (request: IncomingMessage, response: ServerResponse) => void;
let seen: IncomingMessage[];
let client: ClientHttp2Session;

beforeEach(async () => {
  seen = [];
  upstream = createServer((request, response) => {
    seen.push(request);
    request.on('error', () => undefined);
    serve(request, response);
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  gateway = await TestGateway.start();
  load({});
  await gateway.listenTls();
  client = connect(`https://127.0.0.1:${gateway.tlsPort}`, { rejectUnauthorized: false });
});

afterEach(async () => {
  client.destroy();
  await gateway.stop();
  upstream.closeAllConnections();
  upstream.close();
});

function load(definition: Partial<Definition>): void {
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  gateway.load(
    placed(
      definitionOf({
        security: 'open',
        routes: [{ method: '*', path: '/*' }],
        upstream: { targets: [{ url }], retries: 0 },
        ...definition,
      }),
    ),
  );
}

interface Answered {
  status: number | undefined;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

function* partsOf(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
}

async function call(headers: Record<string, string | string[]> = {}, body?: Buffer | string): Promise<Answered> {
  const stream = client.request({ ':path': '/weather/v1/a', ...headers }, { endStream: body === undefined });
  // in parts: node's client holds no more than 10 MB at once
  if (body !== undefined) Readable.from(partsOf(Buffer.from(body))).pipe(stream);
  const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status'?: number }];
  return { status: answer[':status'], headers: answer, body: await buffer(stream) };
}

const nothingUnderWay = (): Promise<unknown> =>
  until(() => gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, { what: 'nothing to be under way' });

describe('HTTP/2 from a client', () => {
  it('may bring as many bodies as it likes: none of them is taken for one that was broken off', async () => {
    serve = (request, response) => void request.resume().on('end', () => response.end('hello'));
    for (let i = 0; i < 150; i++) expect((await call({ ':method': 'POST' }, `body ${i}`)).status).toBe(200);
    await nothingUnderWay();
    const counted = (await gateway.scrape())
      .split('\n')
      .filter((line) => line.startsWith('heliograph_gateway_requests_'));
    expect(counted).toEqual([expect.stringMatching(/status="2xx".* 150$/)]);
  });

  it('reaches upstreams as HTTP/1.1, with one Host, one Cookie and what proxies say', async () => {
    serve = (_, response) => response.setHeader('Set-Cookie', ['a=1', 'b=2']).end('hello');
    const answer = await call({
      ':authority': 'api.example.com',
      cookie: ['x=1', 'y=2'],
      te: 'trailers',
      'x-e': 'caf\u00e9',
    });
    expect([answer.status, answer.body.toString(), answer.headers['set-cookie']]).toEqual([
      200,
      'hello',
      ['a=1', 'b=2'],
    ]);
    expect(answer.headers['content-length']).toBe('5');
    expect(answer.headers).not.toHaveProperty('connection');
    expect(answer.headers['x-request-id']).toBe(seen[0]?.headers['x-request-id']);
    expect(seen[0]).toMatchObject({
      httpVersion: '1.1',
      method: 'GET',
      url: '/a',
      headers: {
        cookie: 'x=1; y=2',
        'x-e': 'caf\u00e9',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'api.example.com',
        forwarded: 'for=127.0.0.1;host="api.example.com";proto=https',
      },
    });
    for (const name of ['te', 'transfer-encoding', ':authority']) expect(seen[0]?.headers).not.toHaveProperty(name);
    await nothingUnderWay();
  });

  it.each([
    ['of a known length', { 'content-length': '20000000' }, '20000000'],
    ['of any length', {}, 'chunked'],
  ])('carries large bodies %s both ways', async (_, headers, framing) => {
    serve = (request, response) => {
      expect(request.headers['content-length'] ?? request.headers['transfer-encoding']).toBe(framing);
      request.pipe(response);
    };
    const large = randomBytes(20_000_000);
    const answer = await call({ ':method': 'POST', ...headers }, large);
    expect(sha256(answer.body)).toBe(sha256(large));
    await nothingUnderWay();
  });

  it('carries small bodies, and many requests at once on one connection', async () => {
    serve = (request, response) => void buffer(request).then((body) => response.end(`${body.toString()}!`));
    const answers = await Promise.all(
      Array.from({ length: 90 }, (_, i) => call({ ':method': 'POST', 'content-length': `${`${i}`.length}` }, `${i}`)),
    );
    expect(answers.map(({ body }) => body.toString())).toEqual(answers.map((_, i) => `${i}!`));
    expect(gateway.metrics.connections).toBe(1);
    await nothingUnderWay();
  });

  it('gets a head only for HEAD, and for statuses without a body', async () => {
    serve = (request, response) => {
      if (request.method === 'HEAD') response.writeHead(200, { 'Content-Length': 1234 }).end();
      else response.writeHead(304).end();
    };
    const head = await call({ ':method': 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '1234', 0]);
    expect((await call()).status).toBe(304);
    await nothingUnderWay();
  });

  it.each([
    ['a length', { 'Content-Length': '4' }],
    ['chunks', { 'Transfer-Encoding': 'chunked' }],
  ])('gets a head only for 205, although the upstream sends a body by %s', async (_, fields) => {
    serve = (request, response) => {
      if (request.url === '/b') return void response.end('fine');
      response.writeHead(205, fields).end('body');
    };
    const answer = await call();
    expect([answer.status, answer.headers['content-length'], answer.body.length]).toEqual([205, '0', 0]);
    expect((await call({ ':path': '/weather/v1/b' })).body.toString()).toBe('fine');
    await nothingUnderWay();
  });

  it('gets fields that are named like what every object has', async () => {
    const names = ['constructor', '__proto__', 'hasOwnProperty', 'toString'];
    serve = (_, response) =>
      response
        .writeHead(
          200,
          [...names, 'constructor'].flatMap((name) => [name, 'a']),
        )
        .end();
    const stream = client.request({ ':path': '/weather/v1/a' });
    const [, , raw] = (await once(stream, 'response')) as [unknown, unknown, string[]];
    stream.resume();
    const got = Array.from({ length: raw.length / 2 }, (_, i) => `${raw[2 * i]}: ${raw[2 * i + 1]}`);
    expect(got).toEqual(
      expect.arrayContaining(['constructor: a, a', '__proto__: a', 'hasownproperty: a', 'tostring: a']),
    );
    expect(gateway.metrics.faults).toBe(0);
  });

  it('gets the same answers of the gateway itself', async () => {
    const answer = await call({ ':path': '/nowhere', 'x-request-id': 'r1' });
    expect(answer.headers).toMatchObject({ ':status': 404, 'x-request-id': 'r1' });
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'no_such_api', requestId: 'r1' });
  });

  it('is told to go on with a body that it announced', async () => {
    serve = (request, response) => void request.pipe(response);
    const stream = client.request({ ':method': 'POST', ':path': '/weather/v1/a', expect: '100-continue' });
    await once(stream, 'continue');
    stream.end('body');
    expect((await buffer(stream)).toString()).toBe('body');
  });

  it('gets server-sent events as they come', async () => {
    let response: ServerResponse | undefined;
    serve = (_, given) => (response = given).writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders();
    const stream = client.request({ ':path': '/weather/v1/a' });
    await once(stream, 'response');
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      response?.write(event);
      expect(String(((await once(stream, 'data')) as [Buffer])[0])).toBe(event);
    }
    stream.close(constants.NGHTTP2_CANCEL);
    await once(response as ServerResponse, 'close');
    await nothingUnderWay();
  });

  it('is not offered WebSocket over HTTP/2', async () => {
    if (!client.remoteSettings) await once(client, 'remoteSettings');
    expect(client.remoteSettings?.enableConnectProtocol).not.toBe(true);
  });

  it('several fields of a name are one list, and those of one connection stay behind', async () => {
    serve = (_, response) => {
      response.setHeader('Content-Type', ['text/a', 'text/b']).setHeader('X-A', ['1', '2']);
      response.setHeader('HTTP2-Settings', 'x').setHeader('Keep-Alive', 'timeout=3').end();
    };
    const { headers } = await call();
    expect(headers).toMatchObject({ 'content-type': 'text/a, text/b', 'x-a': '1, 2' });
    expect(headers).not.toHaveProperty('http2-settings');
    expect(gateway.metrics.faults).toBe(0);
  });
});

describe('G3 over HTTP/2, an upstream that breaks', () => {
  it('in the middle of its answer breaks that stream, and no other', async () => {
    serve = (request, response) => {
      if (request.url === '/b') return void response.end('fine');
      response.writeHead(200).write('half', () => response.socket?.resetAndDestroy());
    };
    const stream = client.request({ ':path': '/weather/v1/a' });
    stream.on('error', () => undefined);
    await once(stream, 'response');
    stream.resume();
    await until(() => stream.closed, { what: 'the stream to end' });
    expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    expect((await call({ ':path': '/weather/v1/b' })).body.toString()).toBe('fine');
    await nothingUnderWay();
  });

  it('before its answer is answered for with 502', async () => {
    serve = (_, response) => response.socket?.resetAndDestroy();
    expect((await call({ ':method': 'POST' }, 'x')).status).toBe(502);
    await nothingUnderWay();
  });

  it('answers early is passed on, and the rest of the body is not asked for', async () => {
    serve = (_, response) => response.writeHead(403).end('no');
    const stream = client.request({ ':method': 'POST', ':path': '/weather/v1/a' });
    stream.on('error', () => undefined);
    stream.write('some');
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    expect([headers[':status' as never], (await buffer(stream)).toString()]).toEqual([403, 'no']);
    await until(() => stream.closed, { what: 'the stream to end' });
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    await nothingUnderWay();
  });
});

describe('gRPC', () => {
  it.each(['application/grpc', 'application/grpc+proto'])('%s is refused as gRPC refuses', async (type) => {
    const stream = client.request(
      { ':method': 'POST', ':path': '/weather/v1/a', 'content-type': type, te: 'trailers' },
      { endStream: false },
    );
    stream.on('error', () => undefined);
    stream.write(Buffer.alloc(5));
    const [headers, flags] = (await once(stream, 'response')) as [IncomingHttpHeaders, number];
    expect(headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '12' });
    expect(headers['grpc-message']).toMatch(/^this gateway does not pass on gRPC: [\x20-\x24\x26-\x7e]+$/);
    expect(flags & constants.NGHTTP2_FLAG_END_STREAM).not.toBe(0); // nothing but trailers
    stream.resume();
    await until(() => stream.closed, { what: 'the stream to end' });
    expect([seen.length, stream.rstCode]).toEqual([0, constants.NGHTTP2_NO_ERROR]);
  });

  it('on the web is a request like any other', async () => {
    serve = (_, response) => response.end('ok');
    expect((await call({ ':method': 'POST', 'content-type': 'application/grpc-web+proto' }, 'x')).status).toBe(200);
  });
});
