import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readExposition } from '#harness';
import { GatewayMetrics } from '../gateway/engine/metrics.js';
import type { WorkerReport } from '../gateway/engine/metric-families.js';
import { GatewayBook } from './gateway-book.js';

const none = { hits: 0, misses: 0, evictions: 0, bytes: 0, size: 0 };
const counted = {
  state: { revision: 7 },
  pools: { outstanding: 2, report: () => [] },
  leases: { size: 1, asked: 3 },
  cache: none,
  accessLog: null,
  tracing: { exporter: null },
};
let workers: GatewayMetrics[];
let book: GatewayBook;
let now: number;

beforeEach(() => {
  workers = [];
  now = 0;
  book = new GatewayBook('eu-west', () => now);
});

afterEach(() => {
  book.close();
  for (const metrics of workers) metrics.close();
});

function worker(): GatewayMetrics {
  const metrics = new GatewayMetrics();
  workers.push(metrics);
  return metrics;
}

async function value(name: string, labels = 'region="eu-west"'): Promise<number | undefined> {
  return readExposition(await book.text(1))
    .get(name)
    ?.samples.get(`${name}{${labels}}`);
}

describe('GatewayBook', () => {
  it('adds up what workers tell, each thing once', async () => {
    const [one, two] = [worker(), worker()];
    one.count('weather:v1', 200, null);
    one.own.observe(0.002);
    two.count('weather:v1', 200, null);
    two.count(null, 404, 'no_such_api');
    for (let i = 0; i < 2; i++) {
      book.add('1', one.report(counted));
      book.add('2', two.report(counted));
    }
    const requests = 'heliograph_gateway_requests_total';
    expect(await value(requests, 'api="weather:v1",region="eu-west",status="2xx"')).toBe(2);
    expect(await value(requests, 'api="none",region="eu-west",status="4xx"')).toBe(1);
    expect(await value('heliograph_gateway_refusals_total', 'code="no_such_api",region="eu-west"')).toBe(1);
    expect(await value('heliograph_gateway_lease_fetches_total')).toBe(6);
    const families = readExposition(await book.text(2));
    const own = families.get('heliograph_gateway_own_seconds')?.samples;
    expect(own?.get('heliograph_gateway_own_seconds_bucket{le="0.001",region="eu-west"}')).toBe(0);
    expect(own?.get('heliograph_gateway_own_seconds_bucket{le="0.0025",region="eu-west"}')).toBe(1);
    expect(
      families.get('heliograph_gateway_workers')?.samples.get('heliograph_gateway_workers{region="eu-west"}'),
    ).toBe(2);
  });

  it('keeps what a worker counted when it is gone, and nothing of what it was', async () => {
    const dead = worker();
    dead.connections = 5;
    dead.count('weather:v1', 503, 'no_healthy_upstream');
    book.add('1', dead.report(counted));
    expect(await value('heliograph_gateway_connections')).toBe(5);
    expect(await value('heliograph_gateway_upstream_in_flight')).toBe(2);
    book.forget('1');
    expect(await value('heliograph_gateway_connections')).toBe(0);
    expect(await value('heliograph_gateway_requests_total', 'api="weather:v1",region="eu-west",status="5xx"')).toBe(1);
    expect(await value('heliograph_gateway_revision', 'process="worker-1",region="eu-west"')).toBeUndefined();
    book.add('9', worker().report(counted));
    expect(await value('heliograph_gateway_revision', 'process="worker-1",region="eu-west"')).toBe(7);
  });

  it('says how long a worker has told nothing', async () => {
    book.add('1', worker().report(counted));
    now = 9000;
    expect(await value('heliograph_gateway_worker_silence_seconds', 'process="worker-1",region="eu-west"')).toBe(9);
  });

  it('writes what can be read, whatever stands in a label', async () => {
    const metrics = worker();
    metrics.count('a"b\\c\nd:v1', 200, null);
    book.add('1', metrics.report(counted));
    const requests = readExposition(await book.text(1)).get('heliograph_gateway_requests_total');
    expect([...(requests?.samples.keys() ?? [])]).toEqual([
      'heliograph_gateway_requests_total{api="a\\"b\\\\c\\nd:v1",region="eu-west",status="2xx"}',
    ]);
  });

  it('has nothing more to tell of 10,000 APIs than what came since, and lets others work while it writes them', async () => {
    const metrics = worker();
    for (let i = 0; i < 10_000; i++) for (const status of [200, 404, 503]) metrics.count(`api-${i}:v1`, status, null);
    book.add('1', metrics.report(counted));
    metrics.count('api-1:v1', 200, null);
    const second: WorkerReport = metrics.report(counted);
    expect(second.requests).toEqual(['api-1:v1', 0, 0, 1, 0, 0, 0]);
    book.add('1', second);
    let turns = 0;
    const count = (): void => {
      turns += 1;
      pending = setImmediate(count);
    };
    let pending = setImmediate(count);
    const text = await book.text(1);
    clearImmediate(pending);
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(readExposition(text).get('heliograph_gateway_requests_total')?.samples.size).toBe(30_000);
  });
});
