import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, type RecordingUpstream, recordingUpstream, until } from '#harness';
import type { Definition } from '#model';
import { call, type RawServer, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';

type Active = NonNullable<NonNullable<Definition['upstream']['healthChecks']>['active']>;

let gateway: TestGateway;
let a: RecordingUpstream;
let b: RecordingUpstream;
const servers: RawServer[] = [];

beforeEach(async () => {
  gateway = new TestGateway();
  await gateway.listen();
  gateway.pools.checks.begin();
  [a, b] = await Promise.all([recordingUpstream(), recordingUpstream()]);
});

afterEach(async () => {
  await gateway.stop();
  await Promise.all([a.close(), b.close()]);
  for (const server of servers.splice(0)) await server.close();
});

async function raw(onConnection: (socket: Socket) => void): Promise<RawServer> {
  const server = await rawServer(onConnection);
  servers.push(server);
  return server;
}

function load(targets: string[], active: Active | null): void {
  gateway.load(
    placed(
      definitionOf({
        security: 'open',
        routes: [{ method: 'GET', path: '/a' }],
        upstream: {
          targets: targets.map((url) => ({ url })),
          healthChecks: { passive: { failures: 0 }, ...(active && { active }) },
        },
      }),
    ),
  );
}

const ACTIVE: Active = { path: '/well?deep=1', intervalMs: 500, timeoutMs: 500, healthy: 2, unhealthy: 2 };
const get = () => call(gateway.port, 'GET', '/weather/v1/a');
const isChecked = ({ requests }: RecordingUpstream, times: number): boolean =>
  requests.filter(({ url }) => url === '/well?deep=1').length >= times;
const downCount = (): number => gateway.pools.checks.downList.length;

describe('a target that is checked', () => {
  it('is asked for the path that the definition names, by a client that says who it is', async () => {
    load([`${a.url}/api`], ACTIVE);
    await until(() => isChecked(a, 2), { what: 'two checks' });
    expect(a.requests[0]).toMatchObject({
      method: 'GET',
      headers: { host: new URL(a.url).host, 'user-agent': 'heliograph-health-check', connection: 'close' },
    });
    expect(downCount()).toBe(0);
  });

  it('gets no requests when its first check fails, and gets them again after two good ones', async () => {
    b.fault = { kind: 'status', status: 503 };
    load([a.url, b.url], ACTIVE);
    await until(() => downCount() === 1, { what: 'the check to fail' });
    const before = b.requests.length;
    for (let i = 0; i < 6; i++) expect((await get()).status).toBe(200);
    expect(b.requests.slice(before).filter(({ url }) => url === '/a')).toEqual([]);
    b.fault = undefined;
    await until(() => downCount() === 0, { what: 'the checks to pass' });
    for (let i = 0; i < 4; i++) await get();
    expect(b.requests.some(({ url }) => url === '/a')).toBe(true);
  });

  it('that was well goes out only after so many failures in a row', async () => {
    load([a.url], ACTIVE);
    await until(() => isChecked(a, 1) && a.requests.length === 1, { what: 'the first check' });
    a.fault = { kind: 'status', status: 500 };
    await until(() => isChecked(a, 2), { what: 'the second check' });
    expect(downCount()).toBe(0);
    await until(() => downCount() === 1, { what: 'the check to fail' });
    expect(a.requests).toHaveLength(3);
  });

  it('G3 is not asked by requests when all are down: 503, and when to come back', async () => {
    a.fault = b.fault = { kind: 'status', status: 404 };
    load([a.url, b.url], { ...ACTIVE, intervalMs: 2000 });
    await until(() => downCount() === 2, { what: 'both checks to fail' });
    const answer = await get();
    expect(answer).toMatchObject({ status: 503, code: 'no_healthy_upstream', headers: { 'retry-after': '2' } });
    expect([...a.requests, ...b.requests].filter(({ url }) => url === '/a')).toEqual([]);
  });

  it('is well only by the statuses that the definition names', async () => {
    a.fault = { kind: 'status', status: 404 };
    load([a.url, b.url], { ...ACTIVE, statuses: [404] });
    await until(() => downCount() === 1 && isChecked(a, 2), { what: 'the other to be down' });
    expect(gateway.pools.checks.downList[0]).toContain(b.url);
  });

  it.each([
    ['does not take connections', async () => `http://127.0.0.1:${(await freePorts(1))[0]}`],
    ['hangs', async () => (await raw((socket) => socket.resume())).url],
    ['breaks the connection', async () => (await raw((socket) => socket.destroy())).url],
    ['answers with garbage', async () => (await raw((socket) => socket.on('data', () => socket.write('?\r\n')))).url],
    ['has a head without end', async () => (await raw(endless)).url],
  ])('G3 and %s is down, and leaves nothing open', async (_, target) => {
    load([await target()], ACTIVE);
    await until(() => downCount() === 1, { what: 'the check to fail' });
    load([await target()], null);
    await until(() => servers.every(({ sockets }) => sockets.every(({ destroyed }) => destroyed)), {
      what: 'connections of checks to end',
    });
  });

  it('is checked no more when its release is replaced, or its API goes', async () => {
    a.fault = { kind: 'hang' };
    load([a.url], ACTIVE);
    await until(() => isChecked(a, 1), { what: 'a check' });
    load([b.url], ACTIVE);
    await until(() => isChecked(b, 3), { what: 'the other to be checked' });
    expect(a.requests).toHaveLength(1);
    expect(downCount()).toBe(0);
  });

  it('is checked once for all APIs that have the same check of it', async () => {
    const upstream = { targets: [{ url: a.url }], healthChecks: { active: ACTIVE } };
    for (const name of ['x', 'y', 'z'])
      gateway.load(placed(definitionOf({ name, context: `/${name}`, security: 'open', upstream })));
    load([b.url], ACTIVE);
    await until(() => isChecked(b, 4), { what: 'four checks' });
    expect(a.requests.length).toBeLessThanOrEqual(6);
  });
});

describe('of several workers', () => {
  it('the one that takes over begins with what it learned', async () => {
    const other = new TestGateway();
    other.pools.checks.learn(gateway.pools.checks.downList);
    b.fault = { kind: 'status', status: 503 };
    load([a.url, b.url], ACTIVE);
    await until(() => downCount() === 1, { what: 'the check to fail' });
    other.pools.checks.follow(gateway.state.checked);
    other.pools.checks.learn(gateway.pools.checks.downList);
    other.pools.checks.begin();
    expect(other.pools.checks.downList).toEqual(gateway.pools.checks.downList);
    await other.stop();
  });
});

function endless(socket: Socket): void {
  socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(20_000)}`));
}
