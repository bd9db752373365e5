import { TAIL, type TailWish } from '#model';
import { type RecordingUpstream, recordingUpstream, until } from '#harness';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { call, exchange } from '../../testing/clients.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { type AccessEntry } from './access-log.js';
import { AccessTail } from './access-tail.js';

const KEY = 'hg_live_secret_12';
const wish = (more: Partial<TailWish> = {}): TailWish => ({
  tail: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
  forMs: 60_000,
  linesPerSecond: 200,
  filter: {},
  ...more,
});
const entry = (more: Partial<AccessEntry> = {}): AccessEntry => ({
  requestId: 'r',
  traceId: null,
  method: 'GET',
  path: '/',
  status: 200,
  code: null,
  api: 'weather:v1',
  route: 'GET /',
  application: APPLICATION,
  target: null,
  address: '192.0.2.7',
  totalMs: 1,
  upstreamMs: null,
  ...more,
});

describe('requests of a gateway that somebody looks at', () => {
  let gateway: TestGateway;
  let upstream: RecordingUpstream;
  beforeEach(async () => {
    upstream = await recordingUpstream();
    gateway = new TestGateway();
    const definition = definitionOf({
      credential: { query: 'api_key' },
      upstream: { targets: [{ url: upstream.url }] },
    });
    gateway.load(placed(definition), planOp('gold'), applicationOp({ 'weather:v1': 'gold' }), keyOp(KEY));
    await gateway.listen();
  });
  afterEach(async () => {
    await gateway.stop();
    await upstream.close();
  });
  const lines = (): Record<string, unknown>[] =>
    gateway.tailed.flatMap((told) => told.lines.map((line) => JSON.parse(line)));
  const told = (count: number): Promise<Record<string, unknown>[]> =>
    until(() => lines().length >= count && lines(), { what: `${count} lines` });

  it('are told as the access log would, which is off, and nothing is told of those before', async () => {
    await call(gateway.port, 'GET', '/weather/v1/before');
    expect(gateway.tail.active).toBe(false);
    gateway.tail.hold(wish());
    await call(gateway.port, 'GET', `/weather/v1/today?api_key=${KEY}&city=x`, { 'x-request-id': 'r1' });
    await call(gateway.port, 'GET', `/weather/v1/${KEY}`);
    await exchange(gateway.port, 'GET /weather/v1/today HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
    const [served, refused, malformed] = await told(3);
    expect(served).toMatchObject({ requestId: 'r1', path: '/weather/v1/today', status: 200, application: APPLICATION });
    expect(refused).toMatchObject({ path: '/weather/v1/hg_***', status: 404 });
    expect(malformed).toMatchObject({ path: null, status: 400, code: 'bad_request' });
    expect(JSON.stringify(gateway.tailed)).not.toMatch(/hg_live|city|before/);
  });

  it('are told to nobody when the time is over, and to nobody who wants them no longer', async () => {
    gateway.tail.hold(wish({ forMs: 1 }));
    expect(gateway.tail.active).toBe(true);
    await until(() => !gateway.tail.active, { what: 'it to end by itself' });
    gateway.tail.hold(wish());
    gateway.tail.hold(wish({ forMs: 0 }));
    expect(gateway.tail.active).toBe(false);
    await call(gateway.port, 'GET', '/weather/v1/today');
    gateway.tail.close();
    expect(gateway.tailed).toEqual([]);
  });
});

describe('AccessTail', () => {
  const shown = (filter: TailWish['filter'], ...entries: Partial<AccessEntry>[]): (string | null)[] => {
    const told: string[] = [];
    const tail = new AccessTail(
      ({ lines }) => told.push(...lines),
      () => 0,
    );
    tail.hold(wish({ filter }));
    for (const one of entries) tail.write(entry(one));
    tail.close();
    return told.map((line) => (JSON.parse(line) as AccessEntry).path);
  };

  it('tells what is asked for, and no more', () => {
    const statuses = [0, 101, 200, 404, 499, 500, 503].map((status) => ({ status, path: `${status}` }));
    expect(shown({ status: '5xx' }, ...statuses)).toEqual(['500', '503']);
    expect(shown({ status: '404' }, ...statuses)).toEqual(['404']);
    expect(shown({ status: '0' }, ...statuses)).toEqual(['0']);
    const apis = ['weather:v1', 'weather:v2', 'weathers:v1', null].map((api) => ({ api, path: api ?? '-' }));
    expect(shown({ api: 'weather' }, ...apis)).toEqual(['weather:v1', 'weather:v2']);
    expect(shown({ api: 'weather:v2' }, ...apis)).toEqual(['weather:v2']);
    const applications = [APPLICATION, null].map((application) => ({ application, path: application ?? '-' }));
    expect(shown({ application: APPLICATION }, ...applications)).toEqual([APPLICATION]);
    const both = [{ status: 500 }, { status: 500, api: 'other:v1' }];
    expect(shown({ status: '5xx', api: 'weather' }, ...both)).toHaveLength(1);
  });

  it('leaves out what is more than may be shown in a second, and what is too long, and counts both', () => {
    const told = { lines: 0, dropped: 0 };
    const tail = new AccessTail(
      ({ lines, dropped }) => {
        told.lines += lines.length;
        told.dropped += dropped;
      },
      () => 0,
    );
    tail.hold(wish({ linesPerSecond: 50 }));
    tail.write(entry({ route: 'x'.repeat(TAIL.lineChars) }));
    for (let n = 0; n < 1000; n++) tail.write(entry());
    tail.close();
    expect(told).toEqual({ lines: 50, dropped: 951 });
  });

  it('serves so many readers, and each what he asked for', () => {
    const told = new Map<string, number>();
    const tail = new AccessTail(
      (lines) => told.set(lines.tail, lines.lines.length),
      () => 0,
    );
    const id = (n: number): string => `7c9e6679-7425-40de-944b-e07fc1f90a${(16 + n).toString(16)}`;
    for (let n = 0; n < TAIL.readers + 1; n++)
      tail.hold(wish({ tail: id(n), filter: n === 0 ? { status: '5xx' } : {} }));
    tail.write(entry());
    tail.close();
    expect(told.size).toBe(TAIL.readers - 1);
    expect([told.has(id(0)), told.has(id(1)), told.has(id(TAIL.readers))]).toEqual([false, true, false]);
  });
});
