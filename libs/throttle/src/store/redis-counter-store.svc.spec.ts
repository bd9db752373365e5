import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeWith, type RedisService, startRedis } from '#harness';
import { DAY_MS } from '../algorithm/quota.js';
import { burstOf, TICK_MICROS } from '../algorithm/rate.js';
import { counterStoreConformance } from '../testing/counter-store-conformance.js';
import { TAKE_QUOTA, TAKE_RATE } from './counter-function.js';
import type { Bucket, CounterStore, Wish } from './counter-store.js';
import { LocalCounterStore } from './local-counter-store.js';
import { RedisCounterStore } from './redis-counter-store.js';

describe('LocalCounterStore does what every counter store does', () => {
  const clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
  counterStoreConformance(() => new LocalCounterStore(clock));
});

describeWith('redis', 'RedisCounterStore', () => {
  let service: RedisService;
  let client: Redis;
  const scope = `test/${process.pid}`;
  const wish = (need: number): Wish => ({ need, ahead: 0, held: 0, lease: 0 });

  beforeAll(async () => {
    service = await startRedis();
    client = new Redis(service.url);
  });
  afterAll(async () => {
    client.disconnect();
    await service.stop();
  });

  const portOf = (store: RedisCounterStore): CounterStore => ({
    take: (bucket, wish) => store.take(bucket, wish),
    give: (bucket, unused, lease) => void store.give(bucket, unused, lease),
  });

  describe('does what every counter store does', () => {
    counterStoreConformance(() => portOf(new RedisCounterStore(client, scope, () => 1)));
  });

  const limits = fc.oneof(
    fc.record({
      kind: fc.constant('rate' as const),
      limit: fc.record({
        limit: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 1_000_000_000 })),
        per: fc.constantFrom('second' as const, 'minute' as const, 'hour' as const),
        burst: fc.option(fc.integer({ min: 1, max: 2000 }), { nil: undefined }),
      }),
    }),
    fc.record({
      kind: fc.constant('quota' as const),
      limit: fc.record({
        limit: fc.integer({ min: 1, max: 3000 }),
        per: fc.constantFrom('day' as const, 'month' as const),
      }),
    }),
  );
  const step = fc.record({
    // back, too, and over slices, days and months
    micros: fc.oneof(
      fc.integer({ min: 0, max: 3_000_000 }),
      fc.integer({ min: -3_000_000, max: 3_000_000 }),
      fc.integer({ min: -40 * DAY_MS * 1000, max: 40 * DAY_MS * 1000 }),
    ),
    need: fc.integer({ min: 0, max: 300 }),
    ahead: fc.integer({ min: 0, max: 300 }),
    held: fc.integer({ min: 0, max: 300 }),
    ends: fc.boolean(),
    other: fc.boolean(),
  });

  it('answers as the local store does, number by number, whatever is asked when', async () => {
    const start = Date.parse('2027-12-30T23:59:50Z') * 1000;
    let run = 0;
    await fc.assert(
      fc.asyncProperty(limits, limits, fc.array(step, { maxLength: 25 }), async (first, second, steps) => {
        const name = `equal:${run++}`;
        let micros = start;
        const clock = { wallMs: () => Math.floor(micros / 1000), monotonicMs: () => (micros + 0.5) / 1000 };
        const local = new LocalCounterStore(clock, () => 3);
        let lease = 0;
        for (const { micros: passed, need, ahead, held, ends, other } of steps) {
          micros += passed;
          const chosen = other && second.kind === first.kind ? second : first;
          const bucket = { ...chosen, name } as Bucket;
          const own = { need, ahead, held, lease: ends ? lease : 0 };
          const expected = local.takeNow(bucket, own);
          const time = [Math.floor(micros / 1_000_000), micros % 1_000_000];
          const lua = (bucket.kind === 'rate' ? TAKE_RATE : TAKE_QUOTA).replace(
            "redis.call('TIME')",
            '{ ARGV[#ARGV - 1], ARGV[#ARGV] }',
          );
          const { limit } = bucket.limit;
          const args =
            bucket.kind === 'rate'
              ? [limit, TICK_MICROS[bucket.limit.per], burstOf(bucket.limit), need, ahead, held, own.lease, 3, 0, 0, '']
              : [limit, bucket.limit.per === 'day' ? 1 : 2, need, ahead, held, own.lease, 3, 0, 0, 0, ''];
          const reply = (await client.eval(lua, 1, `${name}:${bucket.kind}`, ...args, ...time)) as number[];
          const [granted, lent, remaining, resetMs, retryMs, named] = reply;
          expect({ granted, lent, remaining, resetMs, retryMs, lease: named }).toEqual(expected);
          lease = expected.lease;
          // its time is not the one that the keys expire by
          await client.persist(`${name}:${bucket.kind}`);
        }
      }),
      { numRuns: 300 },
    );
  });

  const month = (name: string, limit = 10): Bucket => ({ kind: 'quota', name, limit: { limit, per: 'month' } });
  const hour = (name: string, limit = 10): Bucket => ({ kind: 'rate', name, limit: { limit, per: 'hour' } });

  it('keys expire by themselves when they count no more', async () => {
    const store = new RedisCounterStore(client, scope, () => 1);
    const rate = await store.take({ kind: 'rate', name: 'ttl', limit: { limit: 10, per: 'minute' } }, wish(5));
    const quota = await store.take(month('ttl'), wish(5));
    const ttl = (key: string) => client.pttl(`helio:{${scope}:ttl}:${key}`);
    expect(Math.abs((await ttl('r')) - rate.resetMs - 1000)).toBeLessThan(1000);
    expect(Math.abs((await ttl('q')) - quota.resetMs - 60_000)).toBeLessThan(1000);
  });

  it.each([
    ['quota', month],
    ['rate', hour],
  ])('T4 an emptied server goes on with what the caller remembers of a %s', async (kind, bucketOf) => {
    const store = new RedisCounterStore(client, scope, () => 1);
    const bucket = bucketOf(`emptied:${kind}`);
    const { seen } = await store.take(bucket, wish(7));
    await client.flushall();
    const known = { seen, force: false, spent: 0, spentIn: 0 };
    expect((await store.take(bucket, wish(10), known)).granted).toBe(3);
    // the bucket is a new one: who remembers the old one still counts by the worse of both, again and again
    expect((await store.take(bucket, wish(10), known)).granted).toBe(0);
  });

  it.each([
    ['quota', month],
    ['rate', hour],
  ])(
    'T4 the worse of both counts for a %s where the server was emptied and others came first, or is an old copy',
    async (kind, bucketOf) => {
      const store = new RedisCounterStore(client, scope, () => 1);
      const bucket = bucketOf(`copy:${kind}`);
      const { seen: old } = await store.take(bucket, wish(2));
      const { seen } = await store.take(bucket, wish(5));
      const key = `helio:{${scope}:copy:${kind}}:${kind[0]}`;
      await client.set(key, old); // as a failover to a copy of a moment ago does
      expect((await store.take(bucket, wish(0), { seen, force: false, spent: 0, spentIn: 0 })).remaining).toBe(8);
      expect((await store.take(bucket, wish(0), { seen, force: true, spent: 0, spentIn: 0 })).remaining).toBe(3);
      await client.del(key);
      await store.take(bucket, wish(1));
      expect((await store.take(bucket, wish(0), { seen, force: false, spent: 0, spentIn: 0 })).remaining).toBe(3);
    },
  );

  it('charges what was admitted without it, to the window in which that was', async () => {
    const store = new RedisCounterStore(client, scope, () => 1);
    const first = await store.take(month('owed'), wish(1));
    const spentIn = first.lease * DAY_MS;
    const owed = (spent: number, window: number) => ({ seen: '', force: false, spent, spentIn: window });
    expect((await store.take(month('owed'), wish(0), owed(4, spentIn))).remaining).toBe(5);
    expect((await store.take(month('owed'), wish(0), owed(4, spentIn - 31 * DAY_MS))).remaining).toBe(5);
    expect((await store.take(month('owed'), wish(0), owed(-2, spentIn))).remaining).toBe(7);
    await store.take(hour('owed'), wish(1));
    expect((await store.take(hour('owed'), wish(0), owed(4, 0))).remaining).toBe(5);
  });

  it.each([
    ['a list', (key: string) => client.rpush(key, 'x')],
    ['nonsense', (key: string) => client.set(key, 'r1 1 2 3')],
    ['nothing but spaces', (key: string) => client.set(key, '   ')],
    ['words for numbers', (key: string) => client.set(key, 'q1 a b c')],
  ])('begins a bucket anew where %s lies at its key', async (what, put) => {
    const store = new RedisCounterStore(client, scope, () => 1);
    for (const kind of ['r', 'q']) await put(`helio:{${scope}:${what}}:${kind}`);
    expect((await store.take(month(what), wish(4))).remaining).toBe(6);
    expect((await store.take(hour(what), wish(4))).remaining).toBe(6);
    expect((await store.take(month(what), wish(4))).remaining).toBe(2);
  });

  it('goes on when the functions were flushed', async () => {
    const store = new RedisCounterStore(client, scope, () => 1);
    await store.take(month('flushed'), wish(1));
    await client.script('FLUSH');
    expect((await store.take(month('flushed'), wish(1))).remaining).toBe(8);
  });

  it('knows who was there lately, and forgets who left or said nothing', async () => {
    const store = new RedisCounterStore(client, `${scope}/meet`, () => 1);
    await store.meet('b', 4, 60_000);
    await store.meet('c', 9, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(Object.fromEntries(await store.meet('a', 2, 60_000))).toEqual({ a: 2, b: 4 });
    expect(Object.fromEntries(await store.meet('b', 0, 0))).toEqual({ a: 2 });
  });
});
