import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Redis } from 'ioredis';
import { describeWith, pauseProcess, type RedisService, startRedis, until } from '#harness';
import { createLog } from '#platform';
import { type Bucket, type Grant, parseRedisUrl } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { RegionCounters } from './region-counters.js';

/** This machine may be busy with other tests, and what is proven here is not how long it takes. */
const PATIENCE_MS = 500;

describeWith('redis', 'the counters of a region', () => {
  let service: RedisService;
  let admin: Redis;
  let directory: string;
  const open = new Set<RegionCounters>();

  beforeEach(async () => {
    service = await startRedis();
    admin = new Redis(service.url);
    admin.on('error', () => undefined);
    directory = mkdtempSync(join(tmpdir(), 'counters-'));
  });
  afterEach(async () => {
    for (const one of open) await one.stop();
    open.clear();
    admin.disconnect();
    await service.stop();
    rmSync(directory, { recursive: true });
  });

  function begin(name: string, workers = 4, url: string | null = service.url): RegionCounters {
    const counters = new RegionCounters({
      environment: 'test',
      region: 'eu',
      redis: url === null ? null : parseRedisUrl(url),
      workers: () => workers,
      log: createLog('test', 'silent'),
      answerMs: PATIENCE_MS,
      silentMs: PATIENCE_MS,
    });
    counters.start(() => KeptCounts.open(join(directory, name)));
    open.add(counters);
    return counters;
  }

  async function shared(...nodes: RegionCounters[]): Promise<void> {
    await until(() => nodes.every(({ status }) => status === 'shared'), { what: 'Redis to be in use' });
  }

  /** Two nodes that know of each other. */
  async function region(): Promise<[RegionCounters, RegionCounters]> {
    const nodes = [begin('a'), begin('b')] as [RegionCounters, RegionCounters];
    await shared(...nodes);
    await until(() => nodes.every((node) => node.workersOfRegion === 8), { what: 'the nodes to know of each other' });
    return nodes;
  }

  async function end(one: RegionCounters): Promise<void> {
    open.delete(one);
    await one.stop();
  }

  const month = (name: string, limit: number): Bucket => ({ kind: 'quota', name, limit: { limit, per: 'month' } });
  const hour = (name: string, limit: number): Bucket => ({
    kind: 'rate',
    name,
    limit: { limit: 10, per: 'hour', burst: limit },
  });
  const take = (counters: RegionCounters, bucket: Bucket, need: number): Promise<Grant> =>
    counters.take(bucket, { need, ahead: 0, held: 0, lease: 0 });

  /** Lets all nodes know how much there is left: what one has not seen it cannot remember. */
  async function see(nodes: RegionCounters[], bucket: Bucket): Promise<void> {
    for (const node of nodes) await take(node, bucket, 0);
  }

  /** What 8 holders of 2 nodes get of a bucket that each asks for in turn. */
  async function drain(nodes: RegionCounters[], bucket: Bucket, times = 40): Promise<number> {
    let granted = 0;
    for (let i = 0; i < times; i++) {
      const grants = await Promise.all(nodes.flatMap((node) => [1, 2, 3, 4].map((need) => take(node, bucket, need))));
      for (const grant of grants) granted += grant.granted;
    }
    return granted;
  }

  it.each([
    ['quota', month],
    ['rate', hour],
  ])('T1 grants a %s once to all nodes together', async (_, bucketOf) => {
    const nodes = await region();
    expect(await drain(nodes, bucketOf('once', 500))).toBe(500);
    expect(nodes.map(({ status }) => status)).toEqual(['shared', 'shared']);
  });

  it('T4 a Redis that is killed: every question is answered by this node at once, and all shares come to the limit', async (context) => {
    if (service.pid === undefined) return context.skip('REDIS_URL is set');
    const nodes = await region();
    await service.kill();
    const [quota, rate] = [await drain(nodes, month('fresh', 501)), await drain(nodes, hour('fresh', 501))];
    expect([quota, rate]).toEqual([501, 501]);
    expect(nodes.map(({ status }) => status)).toEqual(['local', 'local']);
    for (const { counts } of nodes) expect(counts.shared).toBe(0);
  });

  it.each([
    ['quota', month],
    ['rate', hour],
  ])(
    'T4 T1 what Redis had granted of a %s is not granted again by the nodes when it stands still',
    async (_, bucketOf) => {
      const nodes = await region();
      const bucket = bucketOf('paused', 1000);
      let granted = (await take(nodes[0], bucket, 300)).granted + (await take(nodes[1], bucket, 300)).granted;
      await see(nodes, bucket);
      await pauseProcess(service.pid as number);
      granted += await drain(nodes, bucket);
      expect(granted).toBe(1000);
      expect(nodes.map(({ status }) => status)).toEqual(['local', 'local']);
      // ... and when it goes on, what the nodes have granted is charged to it, and what it granted too late comes back
      process.kill(service.pid as number, 'SIGCONT');
      await shared(...nodes);
      expect(await drain(nodes, bucket, 3)).toBe(0);
    },
  );

  it.each(['FLUSHALL', 'SCRIPT FLUSH'])('T4 quotas go on after %s', async (command) => {
    const nodes = await region();
    const bucket = month('emptied', 400);
    const before = await drain(nodes, bucket, 10);
    await see(nodes, bucket);
    expect(before).toBe(200);
    await admin.call(...(command.split(' ') as [string, ...string[]]));
    await shared(...nodes);
    expect(before + (await drain(nodes, bucket))).toBe(400);
  });

  it.each([
    ['is full', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    ['is a read-only copy', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
    [
      'does not let this user in any more',
      ['ACL', 'SETUSER', 'default', '-eval', '-evalsha'],
      ['ACL', 'SETUSER', 'default', '+@all'],
    ],
  ] as [string, [string, ...string[]], [string, ...string[]]][])(
    'T4 a Redis that %s: shares, and back',
    async (_, fault, cure) => {
      const nodes = await region();
      await admin.call(...fault);
      expect(await drain(nodes, month('fault', 400))).toBe(400);
      expect(nodes.map(({ status }) => status)).toEqual(['local', 'local']);
      await admin.call(...cure);
      await shared(...nodes);
      expect(await drain(nodes, month('fault', 400), 3)).toBe(0);
      expect(await drain(nodes, month('other', 400))).toBe(400);
    },
  );

  it('T4 quotas outlive an emptied Redis together with all nodes', async () => {
    const nodes = await region();
    const bucket = month('kept', 400);
    expect(await drain(nodes, bucket, 10)).toBe(200);
    await see(nodes, bucket);
    for (const node of nodes) await end(node);
    await admin.flushall();
    expect(await drain(await region(), bucket)).toBe(200);
  });

  it('T4 a node that starts while Redis is gone knows its share and what was used', async (context) => {
    if (service.pid === undefined) return context.skip('REDIS_URL is set');
    const nodes = await region();
    const bucket = month('alone', 400);
    await drain(nodes, bucket, 10);
    await see(nodes, bucket);
    await end(nodes[0]);
    await service.kill();
    const again = begin('a');
    expect(await drain([again], bucket)).toBe(100);
    expect(again.status).toBe('local');
    // what it granted without Redis is kept, too
    await end(again);
    expect(await drain([begin('a')], bucket)).toBe(0);
  });

  it('counts alone without Redis, and goes on with its quotas after a restart', async () => {
    const first = begin('alone', 4, null);
    expect(await drain([first], month('alone', 100), 5)).toBe(50);
    await end(first);
    expect(await drain([begin('alone', 4, null)], month('alone', 100))).toBe(50);
  });
});
