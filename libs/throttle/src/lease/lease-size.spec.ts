import { describe, expect, it } from 'vitest';
import { claimOf, LeaseWorld, limitsOf, perDay, perSecond, request, requests, turns } from '../testing/lease-world.js';
import type { LeaseBook } from './lease-book.js';
import type { Limits } from './limits.js';

const limits = limitsOf({ rate: perSecond(100_000), quota: perDay(10_000_000) });

/** Requests at a steady pace, and a sweep each 250 ms. @returns how many had to wait for the store */
const steadily = (world: LeaseWorld, book: LeaseBook, everyMs: number, forMs: number): Promise<number> =>
  steadilyOn(limits, world, book, everyMs, forMs);

async function steadilyOn(
  plan: Limits,
  world: LeaseWorld,
  book: LeaseBook,
  everyMs: number,
  forMs: number,
): Promise<number> {
  let waited = 0;
  const end = world.ms + forMs;
  for (let sweepAt = world.ms; world.ms < end; world.ms += everyMs) {
    const before = world.calls.take;
    if (world.ms >= sweepAt) {
      book.sweep();
      sweepAt += 250;
    }
    let settled = false;
    const done = request(book, plan).then(() => (settled = true));
    await Promise.resolve();
    await Promise.resolve();
    if (!settled && world.calls.take === before) waited += 1;
    await done;
    await turns();
  }
  return waited;
}

describe('a lease fits its load', () => {
  it('a busy bucket makes no request wait, once its rate is known', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    await steadily(world, book, 2, 400);
    const before = world.calls.take;
    expect(await steadily(world, book, 2, 2000)).toBe(0);
    // 1,000 requests of two limits each; about two questions in 100 ms for each
    expect(world.calls.take - before).toBeLessThan(120);
    expect(world.calls.give).toBe(0);
  });

  it('who asks once a second is lent nothing, and costs one question each time', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    await steadily(world, book, 1000, 20_000);
    expect(world.calls).toEqual({ take: 40, give: 0 });
  });

  it('T3 spends a lease without asking the store', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    await steadily(world, book, 1, 500);
    const { asked } = book;
    const free = await Promise.all(Array.from({ length: 20 }, () => request(book, limits)));
    expect(free.every((result) => result === 'spent')).toBe(true);
    expect(book.asked).toBe(asked);
  });

  it('an idle lease is back within 500 ms', async () => {
    const world = new LeaseWorld(2);
    const book = world.book();
    await steadily(world, book, 1, 500);
    const idleSince = world.ms;
    const quota = () => world.store.takeNow({ kind: 'quota', name: 's', limit: perDay(10_000_000) }, NOTHING).remaining;
    const rate = () => world.store.takeNow({ kind: 'rate', name: 's', limit: perSecond(100_000) }, NOTHING).remaining;
    expect(quota()).toBeLessThan(10_000_000 - 500);
    for (; world.ms < idleSince + 500; world.ms += 250) book.sweep();
    expect([quota(), rate()]).toEqual([10_000_000 - 500, 100_000]);
  });

  it('T1 a process that stood still spends no token of a lease that has ended', async () => {
    const world = new LeaseWorld(2);
    const [a, b] = [world.book(), world.book()];
    const rate = limitsOf({ rate: perSecond(1000) });
    for (let i = 0; i < 300; i++, world.ms += 2) await request(a, rate);
    await turns();
    const { asked } = a;
    world.ms += 3000; // and nobody swept
    expect(await requests(1000, b, rate)).toBe(1000);
    expect(await requests(50, a, rate)).toBe(0);
    expect(a.asked).toBeGreaterThan(asked);
  });

  it('T1 a process that stood still before an answer came spends nothing of it', async () => {
    const world = new LeaseWorld(2);
    const [a, b] = [world.book(), world.book()];
    const rate = limitsOf({ rate: perSecond(100) });
    world.held = [];
    const late = requests(100, a, rate);
    await turns();
    world.ms += 2000;
    expect(world.held).toHaveLength(1);
    const answer = world.held;
    world.held = null;
    expect(await requests(100, b, rate)).toBe(100);
    for (const deliver of answer) deliver();
    expect(await late).toBe(0);
  });

  it('goes on from what it has at hand while it asks for more, and T1 never spends that twice', async () => {
    const world = new LeaseWorld();
    const book = world.book();
    const day = limitsOf({ quota: perDay(2000) });
    await steadilyOn(day, world, book, 1, 500);
    let admitted = 500;
    const spend = () => book.spend(day, claimOf('s')).kind === 'spent' && (admitted += 1) > 0;
    world.held = [];
    while (world.held.length === 0 && spend()) await turns();
    expect(world.held).toHaveLength(1);
    const before = admitted;
    while (spend());
    expect(admitted).toBeGreaterThan(before);
    await world.deliver();
    expect(admitted + (await requests(3000, book, day))).toBe(2000);
  });
});

const NOTHING = { need: 0, ahead: 0, held: 0, lease: 0 };
