import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { type Answered, call, RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';

let gateway: TestGateway;
const servers: RawServer[] = [];

beforeEach(async () => {
  gateway = await TestGateway.start();
});

afterEach(async () => {
  await gateway.stop();
  for (const server of servers.splice(0)) await server.close();
});

async function upstream(onData: (socket: Socket, text: string) => void): Promise<RawServer> {
  const server = await rawServer((socket) => socket.on('data', (bytes) => onData(socket, bytes.toString('latin1'))));
  servers.push(server);
  load(server.url);
  return server;
}

function load(url: string): void {
  gateway.load(
    placed(definitionOf({ security: 'open', routes: [{ method: '*', path: '/*' }], upstream: { targets: [{ url }] } })),
  );
}

const get = (): Promise<Answered> => call(gateway.port, 'GET', '/weather/v1/a');
const ok = (fields = ''): string => `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${fields}\r\nok`;

it('targets of the region take the place of the others, with weights of their own', async () => {
  const counts = [0, 0, 0];
  const urls = [];
  for (const index of counts.keys()) {
    const server = await rawServer((socket) =>
      socket.on('data', () => {
        counts[index] = (counts[index] ?? 0) + 1;
        socket.write(ok());
      }),
    );
    servers.push(server);
    urls.push(server.url);
  }
  const [elsewhere, heavy, light] = urls as [string, string, string];
  const here = { targets: [{ url: heavy, weight: 4 }, { url: light }] };
  const upstreams = { targets: [{ url: elsewhere }], regions: { 'eu-west': here } };
  gateway.load(
    placed(definitionOf({ security: 'open', routes: [{ method: 'GET', path: '/a' }], upstream: upstreams })),
  );
  for (let i = 0; i < 20; i++) expect((await get()).text).toBe('ok');
  expect(counts).toEqual([0, 16, 4]);
});

describe('connections to an upstream', () => {
  it('are used again, the last one first', async () => {
    const used: number[] = [];
    const server = await upstream((socket) => {
      used.push(server.sockets.indexOf(socket));
      setImmediate(() => socket.write(ok()));
    });
    await Promise.all([get(), get(), get()]);
    expect(server.sockets).toHaveLength(3);
    for (let i = 0; i < 5; i++) await get();
    expect(new Set(used.slice(3)).size).toBe(1);
    expect(server.sockets).toHaveLength(3);
  });

  it.each([
    ['says Connection: close', ok('Connection: close\r\n')],
    ['keeps them for no time', ok('Keep-Alive: timeout=1\r\n')],
    ['speaks HTTP/1.0', ok().replace('1.1', '1.0')],
  ])('are not used again when it %s', async (_, answer) => {
    const server = await upstream((socket) => socket.write(answer));
    for (let i = 0; i < 3; i++) expect((await get()).text).toBe('ok');
    expect(server.sockets).toHaveLength(3);
  });

  it('that end just when they are to be used cost no request, whatever its method', async () => {
    const server = await upstream((socket) => socket.write(ok()));
    const client = await RawClient.open(gateway.port);
    for (let i = 1; i <= 100; i++) {
      // both in one turn of the event loop: the gateway finds them in whatever order
      const closes = (): unknown => server.sockets.at(-1)?.end();
      if (i % 2) closes();
      client.write('POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
      if (i % 2 === 0) closes();
      await client.until(() => client.received.match(/HTTP\/1.1 /g)?.length === i, `answer ${i}`);
    }
    expect(client.received.match(/HTTP\/1.1 200/g)).toHaveLength(100);
    expect(server.sockets.length).toBeGreaterThan(50);
    client.socket.destroy();
  });

  it('that are closed as soon as they are made are not made for ever', async () => {
    let made = 0;
    servers.push(
      await rawServer((socket) => {
        made += 1;
        socket.end();
      }),
    );
    load(servers[0]?.url ?? '');
    expect(await get()).toMatchObject({ status: 502, code: 'upstream_failed' });
    expect(made).toBe(2);
  });

  it('are as many as there may be; who finds none waits for one', async () => {
    const waiting: Socket[] = [];
    const server = await upstream((socket) => waiting.push(socket));
    const answers = Array.from({ length: 300 }, get);
    await until(() => waiting.length === 256 && gateway.pools.outstanding === 300, { what: 'all to be under way' });
    const release = setInterval(() => waiting.splice(0).forEach((socket) => socket.write(ok())), 10);
    for (const { text } of await Promise.all(answers)) expect(text).toBe('ok');
    clearInterval(release);
    expect(server.sockets).toHaveLength(256);
    expect(gateway.pools.outstanding).toBe(0);
  });

  it('that nobody needs are closed before the upstream would do it', async () => {
    const server = await upstream((socket) => socket.write(ok('Keep-Alive: timeout=2\r\n')));
    await get();
    await until(() => server.sockets[0]?.destroyed, { what: 'the connection to be closed' });
  });

  it('are not waited for by clients that have gone', async () => {
    const server = await upstream(() => undefined);
    const gone = Array.from({ length: 300 }, get).map((answer) => answer.catch(() => null));
    await until(() => server.sockets.length === 256 && gateway.metrics.inFlight === 300, {
      what: 'all to be under way',
    });
    await gateway.engine.drain(0);
    await Promise.all(gone);
    await until(() => gateway.pools.outstanding === 0, { what: 'nothing to be under way' });
  });
});
