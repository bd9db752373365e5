import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, type RecordingUpstream, recordingUpstream, until } from '#harness';
import type { Definition } from '#model';
import { type Answered, call, type RawServer, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { MovableClock } from '../../testing/movable-clock.js';
import { TestGateway } from '../../testing/test-gateway.js';

type Upstream = Definition['upstream'];

const clock = new MovableClock();
let gateway: TestGateway;
let good: RecordingUpstream;
let bad: RecordingUpstream;
const servers: RawServer[] = [];

beforeEach(async () => {
  clock.stop();
  gateway = new TestGateway(null, clock);
  await gateway.listen();
  [good, bad] = await Promise.all([recordingUpstream(), recordingUpstream()]);
});

afterEach(async () => {
  await gateway.stop();
  await Promise.all([good.close(), bad.close()]);
  for (const server of servers.splice(0)) await server.close();
});

function load(targets: string[], more: Partial<Upstream> = {}, routes = [{ method: '*' as const, path: '/*' }]): void {
  gateway.load(
    placed(definitionOf({ security: 'open', routes, upstream: { targets: targets.map((url) => ({ url })), ...more } })),
  );
}

async function raw(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const server = await rawServer(onConnection);
  servers.push(server);
  return server;
}

const get = (method = 'GET'): Promise<Answered> => call(gateway.port, method, '/weather/v1/a');

/** The statuses of so many requests, one after the other. */
async function statuses(count: number): Promise<number[]> {
  const list: number[] = [];
  for (let i = 0; i < count; i++) list.push((await get('POST')).status);
  return list;
}

describe('G3 a target that fails', () => {
  it('so often in a row is passed over, and let back when a request to it succeeds', async () => {
    bad.fault = { kind: 'status', status: 500 };
    load([good.url, bad.url], { healthChecks: { passive: { failures: 3, ejectMs: 10_000 } } });
    expect((await statuses(20)).filter((status) => status === 500)).toHaveLength(3);
    bad.fault = undefined;
    clock.move(9000);
    await statuses(6);
    expect(bad.requests).toHaveLength(3);
    clock.move(1001);
    await statuses(6);
    expect(bad.requests.length).toBeGreaterThan(4);
  });

  it('again when it is tried is passed over for twice as long', async () => {
    bad.fault = { kind: 'status', status: 503 };
    load([good.url, bad.url], { healthChecks: { passive: { failures: 2, ejectMs: 1000 } } });
    await statuses(8);
    expect(bad.requests).toHaveLength(2);
    for (const lengthMs of [1000, 2000, 4000]) {
      const before = bad.requests.length;
      clock.move(lengthMs - 500);
      await statuses(4);
      expect(bad.requests).toHaveLength(before);
      clock.move(501);
      await statuses(4);
      expect(bad.requests).toHaveLength(before + 1);
    }
  });

  it('is tried by one request at a time', async () => {
    let answer = 'HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n';
    let asked = 0;
    const target = await raw((socket) =>
      socket.on('data', () => {
        asked += 1;
        socket.write(answer);
      }),
    );
    load([good.url, target.url], { healthChecks: { passive: { failures: 2, ejectMs: 1000 } } });
    await statuses(8);
    expect(asked).toBe(2);
    answer = '';
    clock.move(1001);
    const trial = Array.from({ length: 10 }, () => get());
    await until(() => good.requests.length >= 15 && asked === 3, { what: 'all others to be answered' });
    expect(asked).toBe(3);
    target.sockets.at(-1)?.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    for (const { status } of await Promise.all(trial)) expect(status).toBe(200);
  });

  it.each([
    ['does not take connections', async () => `http://127.0.0.1:${(await freePorts(1))[0]}`],
    ['breaks them', async () => (await raw((socket) => socket.on('data', () => socket.destroy()))).url],
    ['answers with garbage', async () => (await raw((socket) => socket.on('data', () => socket.write('?\r\n')))).url],
    ['hangs', async () => (await raw((socket) => socket.resume())).url],
  ])('because it %s is passed over', async (_, target) => {
    clock.run(); // one of them is found out by its time
    load([good.url, await target()], {
      retries: 0,
      connectTimeoutMs: 100,
      responseTimeoutMs: 100,
      healthChecks: { passive: { failures: 1 } },
    });
    const list = await statuses(10);
    expect(list.filter((status) => status !== 200)).toHaveLength(1);
    // longer than a single failure is remembered, shorter than it is ejected
    clock.move(2000);
    expect(await statuses(6)).toEqual(Array.from({ length: 6 }, () => 200));
  });

  it('is asked all the same when all fail: it may be a guess that is wrong', async () => {
    good.fault = bad.fault = { kind: 'status', status: 500 };
    load([good.url, bad.url], { healthChecks: { passive: { failures: 1 } } });
    expect(await statuses(4)).toEqual([500, 500, 500, 500]);
    good.fault = undefined;
    expect((await statuses(10)).filter((status) => status === 200).length).toBeGreaterThan(7);
  });

  it('is remembered when another release has the same target, and not for another API', async () => {
    bad.fault = { kind: 'status', status: 500 };
    const more = { healthChecks: { passive: { failures: 1 } } };
    load([good.url, bad.url], more);
    await statuses(4);
    load([good.url, bad.url], more, [{ method: '*' as const, path: '/{any}' }]);
    await statuses(4);
    expect(bad.requests).toHaveLength(1);
    const other = definitionOf({
      name: 'other',
      context: '/other',
      security: 'open',
      routes: [{ method: 'GET', path: '/a' }],
      upstream: { targets: [{ url: bad.url }] },
    });
    gateway.load(placed(other));
    expect((await call(gateway.port, 'GET', '/other/a')).status).toBe(500);
  });

  it('because its clients go away does not fail', async () => {
    const hanging = await raw((socket) => socket.resume());
    load([good.url, hanging.url], { healthChecks: { passive: { failures: 1 } } });
    const controllers = Array.from({ length: 4 }, () => new AbortController());
    const gone = controllers.map(({ signal }) =>
      fetch(`http://127.0.0.1:${gateway.port}/weather/v1/a`, { signal }).catch(() => null),
    );
    await until(() => hanging.sockets.length >= 1 && gateway.pools.outstanding === hanging.sockets.length, {
      what: 'the hanging target to be asked',
    });
    for (const controller of controllers) controller.abort();
    await Promise.all(gone);
    await until(() => gateway.pools.outstanding === 0, { what: 'nothing to be under way' });
    const asked = hanging.sockets.length;
    void Promise.all([get(), get()]).catch(() => null);
    await until(() => hanging.sockets.length > asked, { what: 'it to be asked again' });
  });
});

describe('G3 a circuit breaker', () => {
  const circuitBreaker = { failurePercent: 50, minimumRequests: 10, openMs: 5000 };

  it('opens when too many requests fail, refuses at once, and closes when one succeeds', async () => {
    bad.fault = { kind: 'status', status: 500 };
    load([bad.url], { circuitBreaker });
    expect(await statuses(10)).toEqual(Array.from({ length: 10 }, () => 500));
    const refused = await get();
    expect(refused).toMatchObject({ status: 503, code: 'circuit_open', headers: { 'retry-after': '5' } });
    expect(bad.requests).toHaveLength(10);
    clock.move(5001);
    expect(await statuses(3)).toEqual([500, 503, 503]);
    clock.move(9000);
    expect(await statuses(1)).toEqual([503]);
    bad.fault = undefined;
    clock.move(1001);
    expect(await statuses(12)).toEqual(Array.from({ length: 12 }, () => 200));
  });

  it('stays closed below its share, and below its number of requests', async () => {
    bad.fault = { kind: 'status', status: 500 };
    load([good.url, bad.url], { circuitBreaker: { ...circuitBreaker, minimumRequests: 100 } });
    expect((await statuses(30)).filter((status) => status === 503)).toEqual([]);
    load([bad.url], { circuitBreaker: { failurePercent: 60, minimumRequests: 10 }, healthChecks: {} });
    for (let i = 0; i < 10; i++) {
      bad.fault = i % 2 ? { kind: 'status', status: 500 } : undefined;
      expect((await get()).status).toBe(i % 2 ? 500 : 200);
    }
  });

  it('lets one request try while it is half-open', async () => {
    let asked = 0;
    const target = await raw((socket) =>
      socket.on('data', () => {
        asked += 1;
        if (asked <= 10) socket.write('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n');
      }),
    );
    load([target.url], { circuitBreaker });
    await statuses(10);
    clock.move(5001);
    const trial = get();
    await until(() => asked === 11, { what: 'the trial' });
    expect(await get()).toMatchObject({ status: 503, code: 'circuit_open' });
    target.sockets.at(-1)?.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    expect((await trial).status).toBe(200);
  });

  it('bounds connections and those that wait for one; who is too many is refused at once', async () => {
    const hanging = await raw((socket) => socket.resume());
    load([hanging.url], { circuitBreaker: { maxConnections: 2, maxWaiting: 1 } });
    const held = Array.from({ length: 3 }, () => get().catch(() => null));
    await until(() => hanging.sockets.length === 2 && gateway.pools.outstanding === 3, { what: 'three under way' });
    const refused = await get();
    expect(refused).toMatchObject({ status: 503, code: 'upstream_overloaded', headers: { 'retry-after': '1' } });
    load([hanging.url, good.url], { circuitBreaker: { maxConnections: 2, maxWaiting: 1 } });
    expect((await get()).status).toBe(200);
    await gateway.engine.drain(0);
    await Promise.all(held);
    await until(() => gateway.pools.outstanding === 0, { what: 'nothing to be under way' });
  });
});

describe('G3 requests that are sent again', () => {
  it('are few when an upstream breaks all of them', async () => {
    bad.fault = { kind: 'reset', at: 'head' };
    load([bad.url], { retries: 5 });
    for (let i = 0; i < 60; i++) expect((await get()).status).toBe(502);
    expect(bad.requests.length).toBeGreaterThan(65);
    expect(bad.requests.length).toBeLessThanOrEqual(60 + 10 + 12);
  });
});

describe('what is told of targets', () => {
  it('is their health, their breakers, and what they have under way', async () => {
    bad.fault = { kind: 'status', status: 500 };
    load([good.url, `${bad.url}/api`], {
      healthChecks: { passive: { failures: 2 } },
      circuitBreaker: { failurePercent: 50, minimumRequests: 2 },
    });
    await statuses(6);
    const lines = async (): Promise<string[]> =>
      (await gateway.scrape()).split('\n').filter((line) => line.startsWith('heliograph_upstream_'));
    const of = (name: string, url: string, value: number): string =>
      `heliograph_upstream_${name}{api="weather:v1",target="${url}",region="eu-west"} ${value}`;
    const told = await lines();
    for (const line of [
      of('healthy', good.url, 1),
      of('healthy', `${bad.url}/api`, 0),
      of('breaker_open', good.url, 0),
      of('breaker_open', `${bad.url}/api`, 1),
      of('failures_total', good.url, 0),
      of('failures_total', `${bad.url}/api`, 2),
      of('in_flight', good.url, 0),
      of('connections', good.url, 1),
    ])
      expect(told).toContain(line);
    expect(await lines()).toContain(of('failures_total', `${bad.url}/api`, 2));
    clock.move(121_000);
    const counters = (line: string): boolean => line.startsWith('heliograph_upstream_failures_total');
    await until(async () => (await lines()).every(counters), { what: 'gauges of targets that nobody uses to be gone' });
    expect(await lines()).toHaveLength(2); // what was counted stays for a while: workers that died may have had it
    clock.move(601_000);
    expect(await lines()).toEqual([]);
  });
});
