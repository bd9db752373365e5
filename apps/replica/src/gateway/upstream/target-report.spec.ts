import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, type RecordingUpstream, recordingUpstream, until } from '#harness';
import type { Definition } from '#model';
import { type Answered, call, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { MovableClock } from '../../testing/movable-clock.js';
import { TestGateway } from '../../testing/test-gateway.js';

type Line = Record<string, unknown>;

const FIRST = 'a request to a target failed; more are told of when it has answered again';
let clock: MovableClock;
let gateway: TestGateway;
let upstream: RecordingUpstream;
let logged: Line[];

beforeEach(async () => {
  clock = new MovableClock();
  logged = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void logged.push(JSON.parse(line) as Line) });
  gateway = new TestGateway(null, clock, {}, { log });
  await gateway.listen();
  upstream = await recordingUpstream();
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
});

function load(targets: string[], more: Partial<Definition['upstream']> = {}): void {
  const routes = [{ method: '*' as const, path: '/*' }];
  const all = { targets: targets.map((url) => ({ url })), retries: 0, ...more };
  gateway.load(placed(definitionOf({ security: 'open', routes, upstream: all })));
}

const post = (): Promise<Answered> => call(gateway.port, 'POST', '/weather/v1/a');

describe('the log of the gateway', () => {
  it('names the API, the target and the reason when a target begins to fail, once until it has answered', async () => {
    clock.stop();
    load([upstream.url], { healthChecks: { passive: { failures: 0 } } });
    const told = { api: 'weather:v1', target: upstream.url, reason: 'answered 503', msg: FIRST };
    upstream.fault = { kind: 'status', status: 503 };
    for (let i = 0; i < 3; i++) await post();
    expect(logged).toMatchObject([told]);
    upstream.fault = undefined;
    await post();
    upstream.fault = { kind: 'status', status: 503 };
    await post();
    expect(logged).toHaveLength(1); // not twice in a minute
    clock.move(60_000);
    upstream.fault = undefined;
    await post();
    upstream.fault = { kind: 'status', status: 503 };
    for (let i = 0; i < 3; i++) await post();
    expect(logged).toMatchObject([told, told]);
  });

  it('says why a target is left alone, or asked all the same where there is no other', async () => {
    upstream.fault = { kind: 'status', status: 500 };
    const [closed = 0] = await freePorts(1);
    load([upstream.url], { healthChecks: { passive: { failures: 2 } } });
    for (let i = 0; i < 4; i++) await post();
    const all = { api: 'weather:v1', target: upstream.url, reason: 'answered 500' };
    const only = 'a target fails; it is still asked, as the API has no other here';
    expect(logged).toMatchObject([
      { ...all, msg: FIRST },
      { ...all, msg: only, ejected: true },
    ]);
    logged.length = 0;
    upstream.fault = undefined;
    const gone = `http://127.0.0.1:${closed}`;
    load([upstream.url, gone], { healthChecks: { passive: { failures: 1 } } });
    for (let i = 0; i < 4; i++) await post();
    const left = logged.filter(({ msg }) => msg === 'a target fails, and is left alone for a while');
    expect(left).toMatchObject([{ api: 'weather:v1', target: gone, ejected: true }]);
    expect(left[0]?.['reason']).toContain('ECONNREFUSED');
  });

  it.each([
    ['breaks connections', /closed/, () => rawServer((socket) => socket.on('data', () => socket.end()))],
    ['hangs', /^no answer in 200 ms$/, () => rawServer((socket) => socket.resume())],
    ['has no address', /ENOTFOUND|EAI_AGAIN/, () => ({ url: 'http://nobody.invalid', close: async () => undefined })],
  ])('says so of a target that %s', async (_, reason, make) => {
    const target = await make();
    load([target.url], { responseTimeoutMs: 200 });
    expect((await post()).status).toBeGreaterThanOrEqual(502);
    await target.close();
    expect(logged).toMatchObject([{ api: 'weather:v1', target: target.url, msg: FIRST }]);
    expect(logged[0]?.['reason']).toMatch(reason);
  });

  it('names the APIs whose target fails its health check', async () => {
    upstream.fault = { kind: 'status', status: 500 };
    load([upstream.url], { healthChecks: { active: { path: '/health', intervalMs: 1000 } } });
    await post();
    gateway.pools.checks.begin();
    const found = await until(() => logged.find(({ msg }) => String(msg).includes('health check')), {
      what: 'a check',
    });
    expect(found).toMatchObject({ apis: ['weather:v1'], target: upstream.url, reason: 'it answered 500' });
  });
});
