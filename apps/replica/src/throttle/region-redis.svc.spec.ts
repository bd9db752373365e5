import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeWith, type RedisService, startCluster, startRedis, startSentinel, until } from '#harness';
import { createLog } from '#platform';
import { type Bucket, parseRedisUrl } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { RegionCounters } from './region-counters.js';

const BUCKET: Bucket = { kind: 'quota', name: 's:1', limit: { limit: 10, per: 'month' } };
const wish = (need: number) => ({ need, ahead: 0, held: 0, lease: 0 });

describeWith('redis', 'the counters of a region', () => {
  let directory: string;
  let counters: RegionCounters | null;
  const services: RedisService[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'counters-'));
    counters = null;
  });
  afterEach(async () => {
    await counters?.stop();
    for (const service of services.splice(0)) await service.stop();
    rmSync(directory, { recursive: true });
  });

  async function started(start: () => Promise<RedisService>): Promise<RedisService> {
    const service = await start();
    services.unshift(service);
    return service;
  }

  function begin(url: string | null): RegionCounters {
    const redis = url === null ? null : parseRedisUrl(url);
    const log = createLog('test', 'silent');
    counters = new RegionCounters({
      environment: 'test',
      region: 'eu',
      redis,
      workers: () => 1,
      log,
      answerMs: 500,
      silentMs: 500,
    });
    counters.start(() => KeptCounts.open(directory));
    return counters;
  }

  it.each([
    ['a cluster', startCluster],
    ['a master that a sentinel names', async () => startSentinel(await started(startRedis))],
  ])('are shared by %s', async (_, start) => {
    const one = begin((await started(start)).url);
    await until(() => one.status === 'shared', { what: 'Redis to be in use' });
    expect((await one.take(BUCKET, wish(7))).granted).toBe(7);
    expect((await one.take(BUCKET, wish(7))).granted).toBe(3);
    expect(one.counts).toMatchObject({ shared: 2, local: 0 });
  });

  it('T4 are counted by the node while Redis does not take the password', async () => {
    const { url } = await started(startRedis);
    const one = begin(url.replace(/:[^:@]+@/, ':wrong@'));
    expect((await one.take(BUCKET, wish(20))).granted).toBe(10);
    expect(one.counts).toMatchObject({ shared: 0, local: 1 });
  });

  it('T4 are counted by the node while nobody listens at the address, and by Redis when it comes', async () => {
    const service = await started(startRedis);
    await service.kill();
    const one = begin(service.url);
    expect((await one.take(BUCKET, wish(4))).granted).toBe(4);
    expect(one.status).toBe('local');
  });

  it('begin others where the kept ones are damaged', async () => {
    mkdirSync(join(directory, 'counters'));
    writeFileSync(join(directory, 'counters', 'data.mdb'), 'no database at all, but long enough to be one of them');
    const one = begin(null);
    expect((await one.take(BUCKET, wish(4))).granted).toBe(4);
    await one.stop();
    expect((await begin(null).take(BUCKET, wish(20))).granted).toBe(6);
  });

  it('go on where nothing can be kept', async () => {
    writeFileSync(join(directory, 'counters'), 'a file where the directory should be');
    expect((await begin(null).take(BUCKET, wish(20))).granted).toBe(10);
  });
});
