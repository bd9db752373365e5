import { describe, expect, it } from 'vitest';
import type { CounterStore } from '../store/counter-store.js';
import { claimOf, LeaseWorld, limitsOf, perDay, perSecond, request, requests, turns } from '../testing/lease-world.js';
import { LeaseBook } from './lease-book.js';

describe('LeaseBook', () => {
  it('T1 two holders admit exactly 10 of a burst of 30 where the limit is 10', async () => {
    const world = new LeaseWorld(2);
    const [a, b] = [world.book(), world.book()];
    const limits = limitsOf({ rate: perSecond(10) });
    const [first, second] = await Promise.all([requests(20, a, limits), requests(10, b, limits)]);
    expect(first + second).toBe(10);
  });

  it('T3 refuses without asking the store, as long as a bucket is empty', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    const limits = limitsOf({ rate: { limit: 1, per: 'minute' }, quota: perDay(100) });
    expect([await request(book, limits), await request(book, limits)]).toEqual(['spent', 'rate']);
    for (world.ms = 2000; world.ms < 60_000; world.ms += 100) {
      await request(book, limits);
      book.sweep();
    }
    // one question more: whether others had tokens yet that they did not use
    expect(world.calls.take).toBeLessThanOrEqual(4);
    const asked = world.calls.take;
    world.ms = 59_999;
    expect(await requests(100, book, limits)).toBe(0);
    expect(world.calls.take).toBe(asked);
    world.ms = 60_010;
    expect(await request(book, limits)).toBe('spent');
  });

  it('asks once for all that wait', async () => {
    const world = new LeaseWorld();
    expect(await requests(20, world.book(), limitsOf({ rate: perSecond(20) }))).toBe(20);
    expect(world.calls.take).toBe(1);
  });

  it('spends of all limits or of none, and says which refuses', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    const rate = { limit: 5, per: 'hour' as const };
    const limits = limitsOf({ rate, quota: perDay(3) });
    const results: string[] = [];
    for (let i = 0; i < 5; i++) results.push(await request(book, limits));
    expect(results).toEqual(['spent', 'spent', 'spent', 'quota', 'quota']);
    await turns();
    // what the quota refused has cost the rate nothing
    expect(await requests(5, book, limitsOf({ rate, quota: perDay(100) }))).toBe(2);
  });

  it('counts each route by itself, and an API for all consumers together', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    const day = (limit: number) => ({ rate: null, quota: perDay(limit) });
    const limits = limitsOf({ quota: perDay(100) }, { route: day(2), api: day(5) });
    const ask = (consumer: string, route: string) => request(book, limits, claimOf(consumer, route));
    expect([await ask('a', 'x'), await ask('a', 'x'), await ask('a', 'x')]).toEqual(['spent', 'spent', 'route quota']);
    expect([await ask('a', 'y'), await ask('b', 'x'), await ask('b', 'x')]).toEqual(['spent', 'spent', 'spent']);
    expect([await ask('b', 'y'), await ask('c', 'z')]).toEqual(['api quota', 'api quota']);
    expect(await request(book, limits, claimOf('d', 'z', 'climate:v1'))).toBe('spent');
  });

  it('goes by the new limits from when a plan changes, and keeps what was used', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    const day = (limit: number) => limitsOf({ quota: perDay(limit) });
    expect([await request(book, day(1)), await request(book, day(1)), await request(book, day(2))]).toEqual([
      'spent',
      'quota',
      'spent',
    ]);
    expect(await requests(9, book, limitsOf({ rate: perSecond(3) }))).toBe(3);
    expect(await requests(9, book, day(5))).toBe(3);
  });

  it('spends no token of a window that has ended', async () => {
    const world = new LeaseWorld(2);
    const [a, b] = [world.book(), world.book()];
    const limits = limitsOf({ quota: perDay(300) });
    world.ms = 43_199_000;
    for (let i = 0; i < 90; i++, world.ms += 10) await requests(2, a, limits); // and some lent
    world.ms = 43_200_000;
    const admitted = (await requests(200, a, limits)) + (await requests(200, b, limits));
    await turns();
    world.ms += 1000;
    a.sweep(); // what it was lent beyond
    expect(admitted + (await requests(200, b, limits))).toBe(300);
  });

  it('T1 gives what was waited for back when another limit refuses: it would come on top of a full bucket', async () => {
    const world = new LeaseWorld(2);
    const [a, b] = [world.book(), world.book()];
    const rate = perSecond(2);
    const limits = limitsOf({ rate, quota: perDay(1) });
    expect(await request(a, limits)).toBe('spent');
    world.ms = 1000;
    expect(await request(b, limits)).toBe('quota');
    await turns();
    world.ms = 1100;
    const alone = limitsOf({ rate });
    expect((await requests(2, a, alone)) + (await requests(2, b, alone))).toBe(2);
  });

  it('refuses for a second while the store cannot be asked, and says so', async () => {
    const time = { ms: 0 };
    let asked = 0;
    const gone: CounterStore = { take: () => (asked++, Promise.reject(new Error('gone'))), give: () => undefined };
    const book = new LeaseBook(gone, () => time.ms);
    const limits = limitsOf({ rate: perSecond(10) });
    expect(await request(book, limits)).toBe('rate');
    expect(book.spend(limits, claimOf('s'))).toMatchObject({ kind: 'refused', unknown: 'silent', retryMs: 1000 });
    expect(asked).toBe(1);
    time.ms = 1001;
    await request(book, limits);
    expect(asked).toBe(2);
  });

  it('forgets who makes no requests, and does not grow beyond its bound', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    const limits = limitsOf({ quota: perDay(1) });
    for (let i = 0; i < 250_000; i++) book.spend(limits, claimOf(`s${i}`));
    expect(book.size).toBeLessThanOrEqual(200_000);
    for (const ms of [30_000, 60_000, 90_000]) {
      world.ms = ms;
      book.sweep();
    }
    expect(book.size).toBe(0);
  });

  it('walks over leases that hold tokens only', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    const limits = limitsOf({ quota: perDay(1_000_000) });
    for (let i = 0; i < 90_000; i++) book.spend(limits, claimOf(`s${i}`));
    const before = process.cpuUsage();
    for (let i = 0; i < 10_000; i++) book.sweep();
    const { user, system } = process.cpuUsage(before);
    // 10,000 walks over 90,000 would take many seconds
    expect(user + system).toBeLessThan(1_000_000);
  });
});
