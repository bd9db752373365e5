import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeWith, type RedisService, startRedis, until } from '#harness';
import { createLog } from '#platform';
import { type Bucket, type Grant, parseRedisUrl, RedisCounterStore } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { RegionCounters } from './region-counters.js';

/** Longer than a node is believed to be there which is not heard of. */
const FORGOTTEN_MS = 6000;

describeWith('redis', 'nodes of one region', () => {
  let service: RedisService;
  let admin: Redis;
  let directory: string;
  let a: RegionCounters;
  let b: RegionCounters;

  beforeEach(async () => {
    service = await startRedis();
    admin = new Redis(service.url);
    admin.on('error', () => undefined);
    directory = mkdtempSync(join(tmpdir(), 'counters-'));
    [a, b] = [begin('a'), begin('b')];
    await until(() => [a, b].every((one) => one.status === 'shared' && one.workersOfRegion === 8), { what: 'both' });
  });
  afterEach(async () => {
    await Promise.all([a, b].map((one) => one.stop()));
    admin.disconnect();
    await service.stop();
    rmSync(directory, { recursive: true });
  });

  function begin(name: string): RegionCounters {
    const counters = new RegionCounters({
      environment: 'test',
      region: 'eu',
      redis: parseRedisUrl(service.url),
      workers: () => 4,
      log: createLog('test', 'silent'),
      answerMs: 500,
      silentMs: 500,
    });
    counters.start(() => KeptCounts.open(join(directory, name)));
    return counters;
  }

  const hour = (name: string, burst: number): Bucket => ({
    kind: 'rate',
    name,
    limit: { limit: 10, per: 'hour', burst },
  });
  const take = (counters: RegionCounters, bucket: Bucket, need: number, ahead = 0): Promise<Grant> =>
    counters.take(bucket, { need, ahead, held: 0, lease: 0 });

  it('T4 T1 one for which Redis is too slow is not forgotten: when Redis is gone their shares come to the limit', async (context) => {
    if (service.pid === undefined) return context.skip('REDIS_URL is set');
    const slow = slowedStore();
    try {
      slow.slow(b);
      await until(async () => (await take(b, hour('any', 10), 0)) && b.status === 'local', {
        what: 'it to be too slow',
      });
      await sleep(FORGOTTEN_MS);
      expect([a.status, b.status]).toEqual(['shared', 'local']);
      await service.kill();
      await until(() => a.status === 'local', { what: 'the other one to count alone' });
      const bucket = hour('fresh', 500);
      let granted = 0;
      for (let i = 0; i < 120; i++) for (const one of [a, b]) granted += (await take(one, bucket, 5)).granted;
      expect(granted).toBe(500);
    } finally {
      slow.end();
    }
  });

  it('T4 T1 tokens that come back to a Redis which was emptied are not admitted twice', async () => {
    const bucket = hour('given', 1600);
    let admitted = (await take(b, bucket, 100)).granted;
    const { lent, lease } = await take(a, bucket, 0, 90);
    expect(lent).toBeGreaterThan(50);
    await admin.flushall();
    await take(b, bucket, 0); // what it has seen has no tokens in it that were lent to the other one
    a.give(bucket, lent, lease);
    await take(a, hour('after', 10), 0); // by the same connection: the one before it has been answered
    for (let i = 0; i < 20; i++) admitted += (await take(b, bucket, 100)).granted;
    expect(admitted).toBe(1600);
  });
});

/** Answers of Redis to one node that come too late. */
function slowedStore(): { slow: (node: RegionCounters) => void; end: () => void } {
  // called with the store that it is taken from
  // oxlint-disable-next-line typescript/unbound-method
  const original = RedisCounterStore.prototype.take;
  const stores = new Set<unknown>();
  RedisCounterStore.prototype.take = async function (this: RedisCounterStore, ...args) {
    if (stores.has(this)) await sleep(700);
    return original.apply(this, args);
  };
  return {
    slow: (node) => void stores.add((node as unknown as { link: { store: unknown } }).link.store),
    end: () => void (RedisCounterStore.prototype.take = original),
  };
}
