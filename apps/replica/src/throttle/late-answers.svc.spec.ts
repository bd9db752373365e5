import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeWith, type RedisService, startRedis, until } from '#harness';
import { createLog } from '#platform';
import { type Bucket, type Grant, parseRedisUrl, RedisCounterStore } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { RegionCounters } from './region-counters.js';

const FOREVER_MS = 600_000;

describeWith('redis', 'answers of Redis that come late', () => {
  let service: RedisService;
  let directory: string;
  let a: RegionCounters;
  let b: RegionCounters;
  let line: HeldAnswers;

  beforeEach(async () => {
    service = await startRedis();
    directory = mkdtempSync(join(tmpdir(), 'counters-'));
    [a, b] = [begin('a'), begin('b')];
    await until(() => [a, b].every((one) => one.status === 'shared' && one.workersOfRegion === 2), { what: 'both' });
    line = new HeldAnswers(a);
  });
  afterEach(async () => {
    line.deliver();
    line.end();
    await Promise.all([a, b].map((one) => one.stop()));
    await service.stop();
    rmSync(directory, { recursive: true });
  });

  function begin(name: string): RegionCounters {
    const counters = new RegionCounters({
      environment: 'test',
      region: 'eu',
      redis: parseRedisUrl(service.url),
      workers: () => 1,
      log: createLog('test', 'silent'),
      answerMs: 200,
      silentMs: FOREVER_MS,
    });
    counters.start(() => KeptCounts.open(join(directory, name)));
    return counters;
  }

  const quota: Bucket = { kind: 'quota', name: 'q', limit: { limit: 100, per: 'month' } };
  const rate: Bucket = { kind: 'rate', name: 'r', limit: { limit: 10, per: 'hour', burst: 100 } };
  const take = (counters: RegionCounters, bucket: Bucket, need: number): Promise<Grant> =>
    counters.take(bucket, { need, ahead: 0, held: 0, lease: 0 });
  /** What Redis has left, told to the other node. */
  const left = async (bucket: Bucket): Promise<number> => (await take(b, bucket, 0)).remaining;

  it.each([quota, rate])(
    'T1 T4 a bucket that is not known: the share of this node of a full one, set off against the answers ($kind)',
    async (bucket) => {
      line.hold();
      const grants = await Promise.all([take(a, bucket, 30), take(a, bucket, 30)]);
      expect(grants.map(({ granted }) => granted).toSorted((x, y) => x - y)).toEqual([20, 30]); // half of 100, once
      expect(a.status).toBe('shared');
      line.deliver();
      await until(async () => (await left(bucket)) === 50, { what: 'what was not used to be there' });
    },
  );

  it.each([quota, rate])(
    'T1 T4 a bucket that was half full: the share of this node, set off against the answers ($kind)',
    async (bucket) => {
      expect((await take(a, bucket, 20)).granted).toBe(20);
      line.hold();
      const grants = await Promise.all([take(a, bucket, 30), take(a, bucket, 30)]);
      expect(grants.map(({ granted }) => granted).toSorted((x, y) => x - y)).toEqual([10, 30]); // half of 80, once
      expect(a.status).toBe('shared');
      line.deliver();
      await until(async () => (await left(bucket)) === 40, { what: 'what was not used to be there' });
    },
  );

  it.each([quota, rate])('T1 T4 a bucket that was less than half full: nothing ($kind)', async (bucket) => {
    await take(a, bucket, 51);
    line.hold();
    expect((await take(a, bucket, 1)).granted).toBe(0);
  });

  it.each([quota, rate])('T1 others were quicker: what Redis did not grant is charged ($kind)', async (bucket) => {
    await take(a, bucket, 0);
    await take(b, bucket, 90);
    line.hold();
    expect((await take(a, bucket, 40)).granted).toBe(40);
    line.deliver();
    await until(() => line.asked >= 2, { what: 'the missing ones to be charged' });
    const larger = { ...bucket, limit: { ...bucket.limit, limit: 200, burst: 200 } } as Bucket;
    await until(async () => (await left(larger)) === 70, { what: '130 to be counted' });
  });

  it.for([quota, rate])(
    'T1 Redis is gone before it answers: what was granted counts in the share ($kind)',
    async (bucket, context) => {
      if (service.pid === undefined) return context.skip('REDIS_URL is set');
      await take(a, bucket, 0);
      line.hold();
      expect((await take(a, bucket, 40)).granted).toBe(40);
      await service.kill(); // so that no probe finds a way back
      line.fail();
      await until(() => a.status === 'local', { what: 'this node to count alone' });
      expect((await take(a, bucket, 40)).granted).toBe(10); // of its half
    },
  );
});

/** The answers to one node, which a test keeps back: Redis has counted by then. */
class HeldAnswers {
  asked = 0;
  private held: ((fails: boolean) => void)[] | null = null;
  // called with the store that it is taken from
  // oxlint-disable-next-line typescript/unbound-method
  private readonly original = RedisCounterStore.prototype.take;

  constructor(node: RegionCounters) {
    const own = (node as unknown as { link: { store: unknown } }).link.store;
    const { original } = this;
    const pass = <T>(question: Promise<T>): Promise<T> => this.pass(question);
    RedisCounterStore.prototype.take = function (this: RedisCounterStore, ...args) {
      const question = original.apply(this, args);
      return this === own ? pass(question) : question;
    };
  }

  hold(): void {
    this.asked = 0;
    this.held = [];
  }

  deliver(): void {
    this.let(false);
  }

  fail(): void {
    this.let(true);
  }

  end(): void {
    RedisCounterStore.prototype.take = this.original;
  }

  private async pass<T>(question: Promise<T>): Promise<T> {
    this.asked += 1;
    const { held } = this;
    if (held === null) return question;
    const fails = await new Promise<boolean>((resolve) => held.push(resolve));
    if (fails) throw new Error('the connection is closed');
    return question;
  }

  private let(fails: boolean): void {
    const { held } = this;
    this.held = null;
    for (const resolve of held ?? []) resolve(fails);
  }
}
