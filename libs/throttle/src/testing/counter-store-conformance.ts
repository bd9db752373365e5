import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Bucket, CounterStore, Grant } from '../store/counter-store.js';

/** What every counter store does. @param open a store that one holder uses */
export function counterStoreConformance(open: () => Promise<CounterStore> | CounterStore): void {
  let next = 0;
  const rate = (limit: number, per: 'second' | 'minute' | 'hour', burst = limit): Bucket => ({
    kind: 'rate',
    name: `s:${process.pid}:${next++}`,
    limit: { limit, per, burst },
  });
  const quota = (limit: number, per: 'day' | 'month' = 'month'): Bucket => ({
    kind: 'quota',
    name: `s:${process.pid}:${next++}`,
    limit: { limit, per },
  });
  const taker =
    (store: CounterStore) =>
    (bucket: Bucket, need: number, ahead = 0, held = 0, lease = 0): Promise<Grant> =>
      store.take(bucket, { need, ahead, held, lease });

  describe.each([
    ['rate', () => rate(100, 'hour')],
    ['quota', () => quota(100)],
  ] as const)('%s', (_, bucketOf) => {
    it('grants what is there, and says what remains and when more comes', async () => {
      const take = taker(await open());
      const bucket = bucketOf();
      expect(await take(bucket, 60)).toMatchObject({ granted: 60, lent: 0, remaining: 40, retryMs: 0 });
      const last = await take(bucket, 60);
      expect(last).toMatchObject({ granted: 40, lent: 0, remaining: 0 });
      expect(last.retryMs).toBeGreaterThan(0);
      expect(last.resetMs).toBeGreaterThanOrEqual(last.retryMs);
      expect(await take(bucket, 1)).toMatchObject({ granted: 0, remaining: 0 });
    });

    it('T1 grants a limit once, however many ask at the same time', async () => {
      const take = taker(await open());
      const bucket = bucketOf();
      const grants = await Promise.all(Array.from({ length: 40 }, () => take(bucket, 3, 2)));
      expect(grants.reduce((sum, { granted, lent }) => sum + granted + lent, 0)).toBe(100);
    });

    it('takes back what is given, of the lease that it was lent with', async () => {
      const store = await open();
      const take = taker(store);
      const bucket = bucketOf();
      const { lent, lease } = await take(bucket, 1, 20);
      expect(lent).toBe(20);
      expect(await take(bucket, 100)).toMatchObject({ granted: 79 });
      store.give(bucket, 15, lease);
      expect(await take(bucket, 100)).toMatchObject({ granted: 15 });
    });

    it('renews a lease: what is held is part of the new one', async () => {
      const take = taker(await open());
      const bucket = bucketOf();
      const first = await take(bucket, 0, 10);
      const second = await take(bucket, 0, 20, 4, first.lease);
      expect(second).toMatchObject({ lent: 20, remaining: 100 - 6 - 20 });
      expect(await take(bucket, 0, 0, 20, second.lease)).toMatchObject({ lent: 0, remaining: 94 });
    });

    it('keeps what was used when the limit changes', async () => {
      const take = taker(await open());
      const bucket = bucketOf();
      await take(bucket, 90);
      const smaller = { ...bucket, limit: { ...bucket.limit, limit: 50, burst: 50 } } as Bucket;
      expect(await take(smaller, 1)).toMatchObject({ granted: 0, remaining: 0 });
      const larger = { ...bucket, limit: { ...bucket.limit, limit: 200, burst: 200 } } as Bucket;
      expect((await take(larger, 200)).granted).toBe(110);
    });
  });

  it('counts rates and quotas of the same name apart', async () => {
    const take = taker(await open());
    const bucket = rate(5, 'hour');
    await take(bucket, 5);
    expect((await take({ kind: 'quota', name: bucket.name, limit: { limit: 5, per: 'day' } }, 5)).granted).toBe(5);
  });

  it('fills a rate up as time passes, and knows how long that takes', async () => {
    const take = taker(await open());
    const bucket = rate(10, 'second');
    const { retryMs } = await take(bucket, 10);
    expect(retryMs).toBeLessThanOrEqual(100);
    await sleep(retryMs + 1);
    expect((await take(bucket, 1)).granted).toBe(1);
  });

  it('forgets a holder that died: what it was lent of a rate is there again after two leases', async () => {
    const take = taker(await open());
    const bucket = rate(1000, 'second', 100);
    await take(bucket, 0, 20);
    expect((await take(bucket, 0)).remaining).toBe(80);
    await sleep(2100);
    expect((await take(bucket, 100)).granted).toBe(100);
  });
}
