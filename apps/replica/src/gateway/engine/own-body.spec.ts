import { once } from 'node:events';
import { connect as connectH2 } from 'node:http2';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '#throttle';
import { call, RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';
import type { Limits } from './limits.js';

const MB = 1024 * 1024;
const GET = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n';
let upstream: RawServer;
let gateway: TestGateway;

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
});

/** A gateway that has kept an answer of so many bytes. */
async function keeping(size: number, limits: Partial<Limits> = {}): Promise<void> {
  const head = `HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: ${size}\r\n\r\n`;
  upstream = await rawServer((socket) => socket.on('data', () => socket.write(head + 'x'.repeat(size))));
  gateway = new TestGateway(null, systemClock, limits);
  const routes = [{ method: '*' as const, path: '/*' }];
  const policies = { cache: { ttlSeconds: 600 } };
  gateway.load(
    placed(definitionOf({ security: 'open', routes, policies, upstream: { targets: [{ url: upstream.url }] } })),
  );
  await gateway.listen();
  expect((await call(gateway.port, 'GET', '/weather/v1/a', { host: 'a' })).text).toHaveLength(size);
}

const held = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

describe('an answer that the gateway has whole', () => {
  it('G4 is not copied for each request that a client sends ahead and does not read the answers of', async () => {
    await keeping(MB);
    const client = await RawClient.open(gateway.port);
    client.socket.pause();
    const before = held();
    client.write(GET.repeat(60));
    await sleep(500);
    expect(held() - before).toBeLessThan(16 * MB); // sixty copies are 60 MB, or 120 as text
    client.socket.resume();
    await client.until(() => client.received.length > 60 * MB, 'all answers');
    expect(client.received.split('HTTP/1.1 200 OK').length - 1).toBe(60);
    client.socket.destroy();
  });

  it('reaches a client whole that reads slowly, for as long as he reads', async () => {
    const size = 8 * MB - 1024;
    await keeping(size, { stallMs: 1500, idleMs: 300 });
    const socket = connect({ port: gateway.port, host: '127.0.0.1' });
    socket.write(GET);
    let received = 0;
    for await (const bytes of socket) {
      received += (bytes as Buffer).length;
      if (received > size) break;
      await sleep(40);
    }
    socket.destroy();
    expect([received > size, gateway.engine.cache.hits]).toEqual([true, 1]);
  });

  it('reaches a client of HTTP/2 as often at once as he asks for it', async () => {
    await keeping(MB);
    await gateway.listenTls();
    const client = connectH2(`https://127.0.0.1:${gateway.tlsPort}`, { rejectUnauthorized: false });
    const ask = async (): Promise<number> => {
      const stream = client.request({ ':path': '/weather/v1/a', ':authority': 'a' });
      await once(stream, 'response');
      return (await buffer(stream)).length;
    };
    expect(await ask()).toBe(MB);
    const { hits } = gateway.engine.cache;
    expect(await Promise.all(Array.from({ length: 60 }, ask))).toEqual(Array.from({ length: 60 }, () => MB));
    expect(gateway.engine.cache.hits - hits).toBe(60);
    client.destroy();
  });
});
