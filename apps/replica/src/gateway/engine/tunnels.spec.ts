import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { until } from '#harness';
import { RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';

const KEY = 'hg_live_test';
const UPGRADE =
  'Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n';
const ASK = `GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX-API-Key: ${KEY}\r\n${UPGRADE}\r\n`;
const AGREED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n';
const GET = `GET /weather/v1/b HTTP/1.1\r\nHost: a\r\nX-API-Key: ${KEY}\r\n\r\n`;

let gateway: TestGateway;
let server: WebSocketServer;
const servers: RawServer[] = [];

beforeEach(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  server.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('error', () => undefined);
  });
  gateway = await TestGateway.start();
  load(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

afterEach(async () => {
  await gateway.stop();
  for (const socket of server.clients) socket.terminate();
  server.close();
  for (const one of servers.splice(0)) await one.close();
});

function load(url: string): void {
  gateway.load(
    placed(definitionOf({ routes: [{ method: '*', path: '/*' }], upstream: { targets: [{ url }] } })),
    planOp('gold'),
    applicationOp({ 'weather:v1': 'gold' }),
    keyOp(KEY),
  );
}

async function raw(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const one = await rawServer(onConnection);
  servers.push(one);
  load(one.url);
  return one;
}

function open(headers: Record<string, string> = { 'x-api-key': KEY }): WebSocket {
  return new WebSocket(`ws://127.0.0.1:${gateway.port}/weather/v1/a`, { headers });
}

const nothingLeft = (): Promise<unknown> =>
  until(() => gateway.metrics.connections === 0 && gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, {
    what: 'nothing to be under way',
  });

describe('a WebSocket', () => {
  it('carries messages both ways, small and large, and ends as a whole', async () => {
    const socket = open();
    await once(socket, 'open');
    const large = randomBytes(5_000_000);
    for (const message of [Buffer.from('hello'), large, Buffer.alloc(0)]) {
      socket.send(message);
      const [echo] = (await once(socket, 'message')) as [Buffer];
      expect(createHash('sha256').update(echo).digest('hex')).toBe(createHash('sha256').update(message).digest('hex'));
    }
    expect([gateway.metrics.inFlight, gateway.pools.outstanding]).toEqual([1, 1]);
    socket.close(1000);
    const [code] = (await once(socket, 'close')) as [number];
    expect(code).toBe(1000);
    await nothingLeft();
    expect(await gateway.scrape()).toContain('{api="weather:v1",status="1xx",region="eu-west"} 1');
  });

  it('is opened after the same checks as any request', async () => {
    const socket = open({});
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    expect(response.statusCode).toBe(401);
    socket.on('error', () => undefined).terminate();
    expect(server.clients.size).toBe(0);
  });

  it.each(['client', 'upstream'])('that the %s breaks off ends on the other side, too', async (side) => {
    const socket = open();
    await once(socket, 'open');
    const [other] = server.clients;
    const [first, second] = side === 'client' ? [socket, other] : [other, socket];
    const closed = once(second as WebSocket, 'close');
    first?.terminate();
    await closed;
    await nothingLeft();
  });

  it('does not count as one of the connections that a target may have', async () => {
    const sockets = Array.from({ length: 300 }, () => open());
    await Promise.all(sockets.map((socket) => once(socket, 'open')));
    expect(gateway.pools.outstanding).toBe(300);
    for (const socket of sockets) socket.terminate();
    await nothingLeft();
  });

  it('leaves no connection when the gateway has drained', async () => {
    const socket = open();
    await once(socket, 'open');
    const closed = once(socket, 'close');
    await gateway.engine.drain(50);
    await closed;
    await until(() => server.clients.size === 0, { what: 'the upstream side to end' });
  });
});

describe('an upgrade', () => {
  it('goes upstream with its own fields, and without other fields of the connection', async () => {
    let received = '';
    await raw((socket) => socket.on('data', (bytes) => (received += bytes.toString('latin1'))));
    const client = await RawClient.open(gateway.port);
    client.write(ASK.replace('keep-alive', 'keep-alive, X-Hop').replace('Sec-', 'X-Hop: 1\r\nSec-'));
    await until(() => received.includes('\r\n\r\n'), { what: 'the head' });
    expect(received).toMatch(/^GET \/a HTTP\/1.1\r\nhost: [\d.:]+\r\nconnection: Upgrade\r\nupgrade: websocket\r\n/);
    expect(received).toContain('Sec-WebSocket-Key: x\r\n');
    expect(received).not.toMatch(/x-hop|x-api-key/i);
    client.socket.destroy();
  });

  it('takes no byte upstream before that has agreed, and loses none', async () => {
    let received = '';
    let agree = (): void => undefined;
    await raw((socket) => {
      socket.on('data', (bytes) => (received += bytes.toString('latin1')));
      agree = () => socket.write(`${AGREED}first`);
    });
    const client = await RawClient.open(gateway.port);
    client.write(`${ASK}early`);
    await until(() => received.includes('\r\n\r\n'), { what: 'the head' });
    expect(received).toMatch(/\r\n\r\n$/);
    agree();
    await client.has('\r\n\r\nfirst');
    expect(client.received).toMatch(
      /^HTTP\/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/,
    );
    client.write(' and late');
    await until(() => received.endsWith('\r\n\r\nearly and late'), { what: 'all bytes, in their order' });
    client.socket.destroy();
  });

  it('that the upstream does not want is a request like any other, and the next one follows', async () => {
    await raw((socket) => socket.on('data', () => socket.write('HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno')));
    const client = await RawClient.open(gateway.port);
    client.write(ASK + GET);
    await client.until(() => client.received.match(/HTTP\/1.1 403/g)?.length === 2, 'two answers');
    client.socket.destroy();
  });

  it.each([
    ['another protocol', AGREED.replace('websocket', 'x')],
    ['no protocol', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ])('that the upstream answers with %s is answered with 502', async (_, bytes) => {
    await raw((socket) => socket.on('data', () => socket.write(bytes)));
    const client = await RawClient.open(gateway.port);
    client.write(ASK);
    await client.has('upstream_failed');
    client.socket.destroy();
  });

  it('to h2c is passed over, and reaches no upstream', async () => {
    let received = '';
    await raw((socket) => {
      socket.on('data', (bytes) => {
        received += bytes.toString('latin1');
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    const client = await RawClient.open(gateway.port);
    client.write(
      GET.replace(
        '\r\n\r\n',
        '\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n',
      ),
    );
    await client.has('HTTP/1.1 200 OK');
    expect(received).not.toMatch(/upgrade|h2c|http2/i);
    client.socket.destroy();
  });

  it('ends half when one side has said all, and whole when both have', async () => {
    const one = await raw((socket) => {
      socket.allowHalfOpen = true;
      socket.once('data', () => socket.write(AGREED));
    });
    const client = await RawClient.open(gateway.port);
    client.write(ASK);
    await client.has(AGREED.slice(0, 12));
    const [upstream] = one.sockets as [Socket];
    const told: string[] = [];
    upstream.on('data', (bytes) => told.push(bytes.toString()));
    client.socket.end('last words');
    await once(upstream, 'end');
    upstream.end('answer');
    await client.until(() => client.closed, 'the end');
    expect([told.join(''), client.received.endsWith('answer')]).toEqual(['last words', true]);
    await nothingLeft();
  });
});
