import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, type RedisService, startRedis } from '#harness';
import { RedisCounterStore } from '../store/redis-counter-store.js';
import { claimOf, limitsOf, perDay, perSecond, request } from '../testing/lease-world.js';
import { FRESH_MS } from './lease.js';
import { LeaseBook } from './lease-book.js';
import type { Limits } from './limits.js';

const HOLDERS = 8;
const CLIENTS = 64;

describeWith('redis', 'eight processes that hold tokens of one Redis', () => {
  let service: RedisService;
  const clients: Redis[] = [];
  let books: LeaseBook[] = [];
  let sweeper: NodeJS.Timeout;
  const now = (): number => performance.now();

  beforeAll(async () => {
    service = await startRedis();
    books = Array.from({ length: HOLDERS }, () => {
      const client = new Redis(service.url);
      clients.push(client);
      const store = new RedisCounterStore(client, `lease/${process.pid}`, () => HOLDERS);
      const give = (...args: Parameters<RedisCounterStore['give']>): void => void store.give(...args);
      return new LeaseBook({ take: (bucket, wish) => store.take(bucket, wish), give }, now);
    });
    sweeper = setInterval(() => {
      for (const book of books) book.sweep();
    }, 250);
  });
  afterAll(async () => {
    clearInterval(sweeper);
    for (const client of clients) client.disconnect();
    await service?.stop();
  });

  /** What 64 clients are admitted who ask as fast as they are answered, and pause for a while. @returns times of admission */
  async function crowd(limits: Limits, consumer: string, forMs: number, pauseMs: number): Promise<number[]> {
    const times: number[] = [];
    const until = now() + forMs;
    await Promise.all(
      Array.from({ length: CLIENTS }, async (_, i) => {
        const book = books[i % HOLDERS] as LeaseBook;
        while (now() < until) {
          if ((await request(book, limits, claimOf(consumer))) === 'spent') times.push(now());
          await sleep(pauseMs);
        }
      }),
    );
    return times.sort((a, b) => a - b);
  }

  it('T1 T2 under steady overload admit at least 98% of a rate, and no interval more than it', async () => {
    const limits = limitsOf({ rate: perSecond(1000, 200) });
    const times = await crowd(limits, 'overload', 4100, 5);
    for (let from = 0; from < times.length; from += 7) {
      for (let to = from; to < times.length; to += 7) {
        const length = (times[to] as number) - (times[from] as number);
        // an answer may be as late as a token is fresh; on this side of it nothing is more
        expect(to - from + 1).toBeLessThanOrEqual(200 + length + FRESH_MS);
      }
    }
    const began = times[0] as number;
    expect(times.length).toBeLessThanOrEqual(200 + (times.at(-1) as number) - began + FRESH_MS);
    // after the burst
    const steady = times.filter((time) => time >= began + 1000 && time < began + 4000);
    expect(steady.length).toBeGreaterThanOrEqual(0.98 * 3000);
  });

  it('T1 spend a quota to the last token, and none twice', async () => {
    const limits = limitsOf(
      { rate: perSecond(100_000), quota: perDay(3000) },
      { api: { rate: null, quota: perDay(2500) } },
    );
    expect(await crowd(limits, 'quota', 3000, 2)).toHaveLength(2500);
  });

  it('T3 ask Redis for far fewer than they admit, and for nothing when they refuse', async () => {
    const info = async (): Promise<number> => {
      const stats = await (clients[0] as Redis).info('commandstats');
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
    };
    const busy = limitsOf({ rate: perSecond(1_000_000) });
    await crowd(busy, 'busy', 500, 1);
    const before = await info();
    const admitted = (await crowd(busy, 'busy', 2000, 1)).length;
    const asked = (await info()) - before;
    expect(admitted).toBeGreaterThan(5000);
    expect(asked / admitted).toBeLessThan(0.05);

    await sleep(800); // what was lent has gone back
    const book = books[0] as LeaseBook;
    const day = limitsOf({ quota: perDay(1) });
    await request(book, day, claimOf('day'));
    await request(book, day, claimOf('day'));
    const calls = await info();
    for (let i = 0; i < 10_000; i++) expect(book.spend(day, claimOf('day')).kind).toBe('refused');
    await sleep(50);
    expect(await info()).toBe(calls);
  });
});
