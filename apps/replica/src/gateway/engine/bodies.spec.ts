import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  request as httpRequest,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, until } from '#harness';
import type { Definition } from '#model';
import { call, exchange, RawClient } from '../../testing/clients.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';

const LARGE = randomBytes(20 * 1024 * 1024);
const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');

let gateway: TestGateway;
let upstream: Server;
let serve: (request: IncomingMessage, response: ServerResponse) => void;

beforeEach(async () => {
  upstream = createServer((request, response) => {
    request.on('error', () => undefined); // some of these tests break connections
    serve(request, response);
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  gateway = await TestGateway.start();
  load({});
});

afterEach(async () => {
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
        upstream: { targets: [{ url }] },
        ...definition,
      }),
    ),
  );
}

async function hashOf(
  stream: AsyncIterable<Buffer>,
  each: () => Promise<unknown> = async () => undefined,
): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) {
    hash.update(chunk);
    await each();
  }
  return hash.digest('hex');
}

/** Writes all of LARGE, part by part as they are taken. */
function pump(stream: Writable): { bytes: number } {
  const sent = { bytes: 0 };
  const next = (): void => {
    const chunk = LARGE.subarray(sent.bytes, sent.bytes + 65_536);
    if (chunk.length === 0) stream.end();
    else stream.write(chunk, () => next());
    sent.bytes += chunk.length;
  };
  next();
  return sent;
}

function standstill(sent: { bytes: number }): Promise<unknown> {
  let before = -1;
  const still = (): boolean => before === (before = sent.bytes) && before > 0;
  return until(still, { what: 'nothing to move any more', every: 200 });
}

/** Answers with the hash of the body, and how it was framed. */
const answerWithHash = (request: IncomingMessage, response: ServerResponse): void => {
  hashOf(request).then(
    (hash) => response.end(`${hash} ${request.headers['content-length'] ?? request.headers['transfer-encoding']}`),
    () => response.destroy(), // broken off
  );
};

describe('a body on its way up', () => {
  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])('is streamed whole with %s, by its length', async (method) => {
    serve = answerWithHash;
    const answer = await call(gateway.port, method, '/weather/v1/a', { 'content-length': String(LARGE.length) }, LARGE);
    expect(answer.text).toBe(`${sha256(LARGE)} ${LARGE.length}`);
  });

  it.each(['POST', 'DELETE', 'GET'])('is streamed whole with %s, in chunks', async (method) => {
    serve = answerWithHash;
    const request = httpRequest({
      port: gateway.port,
      method,
      path: '/weather/v1/a',
      headers: { 'transfer-encoding': 'chunked' },
      agent: false,
    });
    for (let at = 0; at < LARGE.length; at += 300_001) request.write(LARGE.subarray(at, at + 300_001));
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(String(await response.toArray())).toBe(`${sha256(LARGE)} chunked`);
  });

  it('is not read faster than the upstream takes it', async () => {
    let go = (): void => undefined;
    serve = (request, response) => {
      request.pause();
      go = () => void hashOf(request).then((hash) => response.end(hash));
    };
    const request = httpRequest({
      port: gateway.port,
      method: 'POST',
      path: '/weather/v1/a',
      headers: { 'content-length': LARGE.length },
      agent: false,
    });
    const sent = pump(request);
    // what kernels and streams hold on the way is a few megabytes: then nothing moves any more
    await standstill(sent);
    expect(sent.bytes).toBeLessThan(LARGE.length - 4_000_000);
    go();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(String(await response.toArray())).toBe(sha256(LARGE));
  });

  it('is asked for with 100-continue when its head was admitted', async () => {
    serve = answerWithHash;
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    await client.has('HTTP/1.1 100 Continue\r\n\r\n');
    client.write('hello');
    await client.has(sha256('hello'));
    expect(client.received.match(/HTTP\/1.1 /g)).toHaveLength(2);
    client.socket.destroy();
  });

  it('that is large is not asked for when no upstream is there for it', async () => {
    load({ upstream: { targets: [{ url: `http://127.0.0.1:${(await freePorts(1))[0]}` }] } });
    const text = await exchange(
      gateway.port,
      'POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1.1 503 [\s\S]*Connection: close/);
  });

  it('that is small is there before an upstream is asked, in whatever pieces it comes', async () => {
    let asked = 0;
    serve = (request, response) => {
      asked += 1;
      answerWithHash(request, response);
    };
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n\xff');
    for (const byte of ['h', 'e', 'l', 'l']) {
      client.write(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(asked).toBe(0);
    client.write('o');
    await client.has(`${createHash('sha256').update('\xffhello', 'latin1').digest('hex')} 6`);
    client.socket.destroy();
  });

  it('is not asked for when the head is refused already, and the connection ends', async () => {
    load({ policies: { maxBodyBytes: 3 } });
    const text = await exchange(
      gateway.port,
      'POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1.1 413 [\s\S]*Connection: close[\s\S]*body_too_large/);
    expect(text).not.toContain('100 Continue');
  });

  it('is refused while it streams when it grows beyond the limit, and the upstream is broken off', async () => {
    let broken = false;
    serve = (request) => {
      request.resume();
      request.on('close', () => (broken = !request.complete));
    };
    load({ policies: { maxBodyBytes: 1_000_000 } });
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let i = 0; i < 20; i++) client.write(`10000\r\n${'x'.repeat(0x10000)}\r\n`);
    await client.until(() => client.received.includes('body_too_large') && client.closed, '413 and the end');
    expect(client.received).toMatch(/^HTTP\/1.1 413 Payload Too Large\r\n[\s\S]*Connection: close\r\n/);
    await until(() => broken, { what: 'the upstream request to be broken off' });
  });

  it('passes up to the byte that is the limit', async () => {
    serve = answerWithHash;
    load({ policies: { maxBodyBytes: 5 } });
    const chunked = (body: string): string =>
      `POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n`;
    expect(await exchange(gateway.port, chunked('3\r\nhel\r\n2\r\nlo\r\n'))).toContain(sha256('hello'));
    expect(await exchange(gateway.port, chunked('3\r\nhel\r\n3\r\nlo!\r\n'))).toContain('body_too_large');
  });

  it('of a refused request is read over when it is small, and the connection goes on', async () => {
    serve = answerWithHash;
    const refused = 'POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello';
    const served = 'POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi';
    const text = await exchange(gateway.port, refused + served);
    expect(text).toMatch(/^HTTP\/1.1 404 /);
    expect(text).toContain(sha256('hi'));
  });

  it('of a refused request that is large reaches nobody, and the client still gets to see why', async () => {
    let seen = 0;
    serve = () => (seen += 1);
    const answer = await call(
      gateway.port,
      'POST',
      '/nowhere',
      { 'content-length': '900000' },
      LARGE.subarray(0, 900_000),
    );
    expect(answer).toMatchObject({ status: 404, code: 'no_such_api' });
    expect(answer.headers.connection).toBe('close');
    expect(seen).toBe(0);
  });

  it('need not have ended when the upstream answers: the answer is passed on and the connection ends', async () => {
    serve = (request, response) => {
      request.once('data', () => response.writeHead(403, { 'content-length': 2 }).end('no'));
    };
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome');
    await client.has('\r\n\r\nno');
    expect(client.received).toMatch(/^HTTP\/1.1 403 Forbidden\r\n[\s\S]*Connection: close\r\n/);
    await client.end();
  });

  it('can flow while the answer already flows', async () => {
    serve = (request, response) => void request.pipe(response);
    const client = await RawClient.open(gateway.port);
    client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n');
    await client.has('3\r\none\r\n');
    client.write('3\r\ntwo\r\n0\r\n\r\n');
    await client.has('3\r\ntwo\r\n0\r\n\r\n');
    client.socket.destroy();
  });
});

describe('a body on its way down', () => {
  it.each(['by its length', 'in chunks'])('is streamed whole, %s', async (how) => {
    serve = (_, response) => {
      if (how === 'by its length') response.setHeader('content-length', LARGE.length);
      for (let at = 0; at < LARGE.length; at += 300_001) response.write(LARGE.subarray(at, at + 300_001));
      response.end();
    };
    const request = httpRequest({ port: gateway.port, path: '/weather/v1/a', agent: false }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(response.headers['content-length']).toBe(how === 'by its length' ? String(LARGE.length) : undefined);
    expect(await hashOf(response)).toBe(sha256(LARGE));
  });

  it('is not read faster than the client takes it', async () => {
    let sent = { bytes: 0 };
    serve = (_, response) => {
      response.setHeader('content-length', LARGE.length);
      sent = pump(response);
    };
    const request = httpRequest({ port: gateway.port, path: '/weather/v1/a', agent: false }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    await standstill(sent);
    expect(sent.bytes).toBeLessThan(LARGE.length - 4_000_000);
    expect(await hashOf(response)).toBe(sha256(LARGE));
  });

  it('is passed on as it comes, without waiting for more', async () => {
    let stream: ServerResponse | undefined;
    serve = (_, response) => {
      stream = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
    };
    const client = await RawClient.open(gateway.port);
    client.write('GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.has('data: 1');
    stream?.end('data: 2\n\n');
    await client.has('data: 2');
    client.socket.destroy();
  });
});
