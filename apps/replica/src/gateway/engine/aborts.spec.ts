import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';

const GET = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (framing: string, body: string): string =>
  `POST /weather/v1/a HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n${body}`;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

let gateway: TestGateway;
let server: RawServer;
/** what the upstream does with what it gets */
let answer: (socket: Socket) => void;

beforeEach(async () => {
  server = await rawServer((socket) => socket.on('data', () => answer(socket)));
  gateway = await TestGateway.start(
    placed(
      definitionOf({
        security: 'open',
        routes: [{ method: '*', path: '/*' }],
        upstream: { targets: [{ url: server.url }], retries: 0 },
      }),
    ),
  );
});

afterEach(async () => {
  await gateway.stop();
  await server.close();
});

const nothingUnderWay = (): Promise<unknown> =>
  until(() => gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, { what: 'nothing to be under way' });
const open = (): number => server.sockets.filter((socket) => !socket.destroyed).length;

/** What a client has sent and got when it goes away, and whether the upstream was asked by then. */
const PHASES: { phase: string; sent: string; answer?: string; asked: boolean }[] = [
  { phase: 'in the middle of a head', sent: GET.slice(0, 30), asked: false },
  { phase: 'in the middle of a small body', sent: post('Content-Length: 10', 'half'), asked: false },
  { phase: 'in the middle of a large body', sent: post('Content-Length: 100000', 'some'), asked: true },
  { phase: 'in the middle of a chunk', sent: post('Transfer-Encoding: chunked', 'a\r\nhalf'), asked: true },
  { phase: 'between head and answer', sent: GET, asked: true },
  { phase: 'with a next request behind it', sent: GET + GET, asked: true },
  {
    phase: 'in the middle of the answer',
    sent: GET,
    answer: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf',
    asked: true,
  },
  {
    phase: 'in the middle of chunks',
    sent: GET,
    answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    asked: true,
  },
];

describe('G4 a client that goes away', () => {
  for (const how of ['in order', 'by a reset'] as const)
    it.each(PHASES)(`${how}, $phase, leaves no socket and no request`, async ({ sent, answer: part, asked }) => {
      answer = (socket) => part !== undefined && socket.write(part);
      for (let i = 0; i < 5; i++) {
        const client = await RawClient.open(gateway.port);
        client.write(sent);
        if (asked) await until(() => server.sockets.length === i + 1, { what: 'the upstream to be asked' });
        if (part !== undefined) await client.has('half');
        await until(() => gateway.metrics.connections === 1, { what: 'the connection to be counted' });
        if (how === 'in order') client.socket.destroy();
        else client.socket.resetAndDestroy();
        // behind a request that waits nothing is read, so that the end is seen by the time of the answer at the latest
        if (sent === GET + GET) for (const socket of server.sockets) socket.write(OK);
        await until(() => gateway.metrics.connections === 0, { what: 'the connection to be gone' });
        await nothingUnderWay();
      }
      if (sent !== GET + GET) await until(() => open() === 0, { what: 'every upstream connection to be ended' });
      expect(gateway.metrics.faults).toBe(0);
    });
});

describe('G3 an upstream that breaks', () => {
  it.each([
    ['before its answer', GET, ''],
    ['in the middle of its head', GET, 'HTTP/1.1 200 OK\r\nContent-'],
    ['under a small body', post('Content-Length: 4', 'body'), ''],
    ['under a large body', post('Content-Length: 100000', 'some'), ''],
    ['under chunks', post('Transfer-Encoding: chunked', '4\r\nsome\r\n'), ''],
  ])('%s is answered for with 502, and leaves no socket', async (_, sent, part) => {
    answer = (socket) => socket.write(part, () => socket.resetAndDestroy());
    const client = await RawClient.open(gateway.port);
    client.write(sent);
    await client.has('"code":"upstream_failed"');
    await nothingUnderWay();
    expect([open(), gateway.metrics.faults]).toEqual([0, 0]);
    client.socket.destroy();
  });

  it('leaves the connection of a client, whose request was whole, as good as before', async () => {
    answer = (socket) => socket.resetAndDestroy();
    const client = await RawClient.open(gateway.port);
    client.write(GET);
    await client.has('"code":"upstream_failed"');
    answer = (socket) => socket.write(OK);
    client.write(GET);
    await client.has('\r\n\r\nok');
    client.socket.destroy();
  });

  it('says more than it announced is not used again, and the answer is whole', async () => {
    answer = (socket) => socket.write(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged`);
    const client = await RawClient.open(gateway.port);
    for (let i = 1; i <= 3; i++) {
      client.write(GET);
      await client.until(() => client.received.match(/\r\n\r\nok/g)?.length === i, `answer ${i}`);
    }
    expect(client.received).not.toContain('forged');
    expect(server.sockets).toHaveLength(3);
    client.socket.destroy();
  });

  it('says something that it was not asked for loses its connection, and nobody gets to see it', async () => {
    answer = (socket) => socket.write(OK);
    const client = await RawClient.open(gateway.port);
    client.write(GET);
    await client.has('\r\n\r\nok');
    server.sockets[0]?.write('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged');
    await until(() => server.sockets[0]?.destroyed, { what: 'the connection to be closed' });
    client.write(GET);
    await client.until(() => client.received.match(/\r\n\r\nok/g)?.length === 2, 'the next answer');
    expect(client.received).not.toContain('forged');
    client.socket.destroy();
  });
});
