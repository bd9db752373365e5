import type { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeWith, RedisCluster, RedisServer, until, WatchedRedis } from '#harness';
import { createLog } from '#platform';
import { type Bucket, parseRedisUrl } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { RegionCounters } from './region-counters.js';

const LIMIT = 1000;

/** What ioredis is from the inside. */
type Connecting = EventEmitter & { connector: { disconnect: () => void }; disconnect: (again: boolean) => void };

describeWith('redis', 'the counters of a region whose Redis', () => {
  let directory: string;
  let nodes: RegionCounters[];
  const services: { stop: () => Promise<void> }[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'counters-'));
    nodes = [];
  });
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    for (const service of services.splice(0)) await service.stop();
    rmSync(directory, { recursive: true });
  });

  function ours<T extends { stop: () => Promise<void> }>(service: T): T {
    services.push(service);
    return service;
  }

  /** Two nodes that use it, and know of each other. */
  async function region(url: string): Promise<void> {
    nodes = ['a', 'b'].map((name) => {
      const node = new RegionCounters({
        environment: 'test',
        region: 'eu',
        redis: parseRedisUrl(url),
        workers: () => 4,
        log: createLog('test', 'silent'),
        answerMs: 500,
      });
      node.start(() => KeptCounts.open(join(directory, name)));
      return node;
    });
    await counting('shared');
    await until(() => nodes.every((node) => node.workersOfRegion === 8), { what: 'the nodes to know of each other' });
  }

  const counting = (how: 'shared' | 'local') =>
    until(() => nodes.every(({ status }) => status === how), { what: `all nodes to count: ${how}` });

  const quota = (name: string): Bucket => ({ kind: 'quota', name, limit: { limit: LIMIT, per: 'month' } });
  const rate = (name: string): Bucket => ({ kind: 'rate', name, limit: { limit: 10, per: 'hour', burst: LIMIT } });

  /** Asks each node in turn for 10, so many times; then each of them knows what is left. @returns what they get */
  async function take(bucket: Bucket, times: number): Promise<number> {
    let granted = 0;
    for (let i = 0; i <= times; i++)
      for (const node of nodes)
        granted += (await node.take(bucket, { need: i < times ? 10 : 0, ahead: 0, held: 0, lease: 0 })).granted;
    return granted;
  }

  /** @returns all that is left */
  const drain = (bucket: Bucket) => take(bucket, LIMIT / 10);

  it('T4 T1 is loading its data: nodes count alone, nobody waits, and nothing is granted twice', async () => {
    const redis = ours(await RedisServer.start('--rdbcompression', 'no'));
    await region(redis.url);
    const buckets = [quota('loading'), rate('loading')];
    const before: number[] = [];
    for (const bucket of buckets) before.push(await take(bucket, 10));
    await redis.command('EVAL', "for i = 1, 1000 do redis.call('SET', i, string.rep('x', 1100)) end", 0);
    await redis.command('SAVE');
    await redis.kill();
    await counting('local');
    // a tenth of a second for each key, and questions are looked at after each
    await redis.again('--key-load-delay', '100000', '--loading-process-events-interval-bytes', '1024');
    await expect(redis.command('PING')).rejects.toThrow('LOADING');
    for (const bucket of buckets) {
      await take(bucket, 10);
      expect(await take(bucket, 10)).toBe(200);
    }
    await expect(redis.command('PING')).rejects.toThrow('LOADING');
    expect(nodes.map(({ status }) => status)).toEqual(['local', 'local']);
    await redis.command('CONFIG', 'SET', 'key-load-delay', '0');
    await counting('shared');
    for (const [i, bucket] of buckets.entries())
      expect((before[i] as number) + 400 + (await drain(bucket))).toBe(LIMIT);
  });

  it.each([
    ['with what it had saved before', (redis: RedisServer) => redis.again()],
    ['empty', (redis: RedisServer) => redis.againEmpty()],
  ])('T4 T1 is killed and comes back at once at the same port, %s: nothing is granted twice', async (_, comeBack) => {
    const redis = ours(await RedisServer.start());
    await region(redis.url);
    const buckets = [quota('again'), rate('again')];
    for (const bucket of buckets) await take(bucket, 10);
    await redis.command('SAVE');
    for (const bucket of buckets) expect(await take(bucket, 10)).toBe(200);
    await redis.kill();
    await comeBack(redis);
    await counting('shared');
    for (const bucket of buckets) expect(await drain(bucket)).toBe(LIMIT - 400);
  });

  it('T4 T1 dies, and a sentinel puts a copy in its place that is a moment old: nothing is granted twice', async () => {
    const redis = ours(await WatchedRedis.start());
    await region(redis.url);
    const buckets = [quota('failover'), rate('failover')];
    for (const bucket of buckets) expect(await take(bucket, 10)).toBe(200);
    await redis.leaveCopyBehind();
    for (const bucket of buckets) expect(await take(bucket, 10)).toBe(200);
    await redis.master.kill();
    await counting('local');
    for (const bucket of buckets) expect(await take(bucket, 10)).toBe(200);
    await until(async () => `${await redis.copy.command('ROLE')}`.startsWith('master'), { what: 'the copy to lead' });
    await counting('shared');
    for (const bucket of buckets) expect(await drain(bucket)).toBe(LIMIT - 600);
    expect(nodes.map(({ status }) => status)).toEqual(['shared', 'shared']);
  });

  it('T4 is asked for at a sentinel which tells of another master in that moment, is found all the same', async () => {
    const redis = ours(await WatchedRedis.start());
    await region(redis.url);
    for (const node of nodes) {
      const { client } = (node as unknown as { link: { client: Connecting } }).link;
      // as the library does when it hears of a switch
      client.once('connecting', () => setImmediate(() => client.connector.disconnect()));
      const ended = new Promise((resolve) => client.once('end', resolve as () => void));
      client.disconnect(true);
      await ended;
    }
    await counting('shared');
  });

  /** How the master knows a bucket of the region; both kinds of a name lie in one slot. */
  const keyOf = ({ name, kind }: Bucket) => `helio:{test/eu:${name}}:${kind === 'quota' ? 'q' : 'r'}`;

  it('T1 is a cluster that moves a slot to another master while it is used: nothing is granted twice, nobody counts alone', async () => {
    const cluster = ours(await RedisCluster.start());
    await region(cluster.url);
    const [old, fresh] = [quota('moved'), rate('moved')];
    expect(await take(old, 10)).toBe(200);
    const move = await cluster.beginMove(keyOf(old));
    expect(await take(old, 5)).toBe(100);
    expect(await take(fresh, 10)).toBe(200); // is not where it was, and so is asked for at the other one
    await move.keys(keyOf(old));
    expect(await take(old, 5)).toBe(100);
    await move.end();
    expect([await drain(old), await drain(fresh)]).toEqual([LIMIT - 400, LIMIT - 200]);
    expect(await move.to.command('EXISTS', keyOf(old), keyOf(fresh))).toBe(2);
    for (const { counts } of nodes) expect(counts).toMatchObject({ local: 0, failed: 0 });
  });

  it('T4 T1 is a cluster of which a master dies: all of it is left alone, and nothing is granted twice', async () => {
    const cluster = ours(await RedisCluster.start());
    await region(cluster.url);
    // of each master some
    const buckets = Array.from({ length: 8 }, (_, i) => [quota(`c${i}`), rate(`c${i}`)]).flat();
    const homes = new Set(await Promise.all(buckets.map((bucket) => cluster.masterOf(keyOf(bucket)))));
    expect(homes.size).toBe(3);
    for (const bucket of buckets) expect(await take(bucket, 10)).toBe(200);
    const dead = cluster.masters[await cluster.masterOf(keyOf(quota('c0')))] as RedisServer;
    await dead.kill();
    for (const bucket of buckets) expect(await take(bucket, 10)).toBe(200);
    expect(nodes.map(({ status }) => status)).toEqual(['local', 'local']);
    await dead.again();
    await cluster.whole();
    await counting('shared');
    for (const bucket of buckets) expect(await drain(bucket)).toBe(LIMIT - 400);
  });
});
