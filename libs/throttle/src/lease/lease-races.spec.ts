import fc from 'fast-check';
import { expect, it } from 'vitest';
import { claimOf, LeaseWorld, limitsOf, request, turns } from '../testing/lease-world.js';
import { FRESH_MS } from './lease.js';
import type { LeaseBook } from './lease-book.js';
import type { Limits } from './limits.js';

/** What somebody admitted, and when. */
interface Entry {
  ms: number;
  admitted: number;
}

const parts = {
  pauseMs: fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.integer({ min: 0, max: 900 }),
    fc.integer({ min: 0, max: 3000 }),
  ),
  holder: fc.integer({ min: 0, max: 3 }),
  requests: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 300 })),
  sweep: fc.boolean(),
};
// bursts that are full again within a pause, so that what is held meanwhile would come on top
const rates = fc.record({
  limit: fc.integer({ min: 1, max: 2000 }),
  per: fc.constantFrom('second' as const, 'minute' as const),
  burst: fc.integer({ min: 1, max: 150 }),
});
type Rate = Limits['consumer']['rate'] & object;

/** @param slackMs how much longer than an interval the bucket may have been filled for it */
function expectWithin(rate: Rate, log: readonly Entry[], slackMs: number): void {
  const tick = (ms: number): number => Math.floor((ms * 1000) / (rate.per === 'second' ? 1 : 60));
  for (let from = 0; from < log.length; from++) {
    let sum = 0;
    for (let to = from; to < log.length; to++) {
      sum += log[to]?.admitted ?? 0;
      const paid = ((tick((log[to]?.ms ?? 0) + slackMs) - tick(log[from]?.ms ?? 0)) * rate.limit) / 1_000_000;
      expect(sum).toBeLessThanOrEqual(Math.floor((rate.burst ?? rate.limit) + paid));
    }
  }
}

function attempt(book: LeaseBook, limits: Limits, count: number, onSpent: () => void): void {
  for (let i = 0; i < count; i++)
    void request(book, limits, claimOf('s', `r${i % 3}`)).then((result) => result === 'spent' && onSpent());
}

it('T1 however holders race, no interval admits more than the burst and what it pays back, and no window more than its quota', async () => {
  await fc.assert(
    fc.asyncProperty(
      rates,
      fc.integer({ min: 1, max: 20_000 }),
      fc.array(fc.record(parts), { maxLength: 25 }),
      async (rate, quota, steps) => {
        const world = new LeaseWorld(4);
        const books = Array.from({ length: 4 }, () => world.book());
        const limits = limitsOf({ rate, quota: { limit: quota, per: 'day' } }, { api: { rate, quota: null } });
        const log: Entry[] = [];
        for (const { pauseMs, holder, requests, sweep } of steps) {
          world.ms += pauseMs;
          if (sweep) for (const book of books) book.sweep();
          const entry = { ms: world.ms, admitted: 0 };
          log.push(entry);
          attempt(books[holder] as LeaseBook, limits, requests, () => (entry.admitted += 1));
          attempt(books[(holder + 1) % 4] as LeaseBook, limits, requests, () => (entry.admitted += 1));
          await turns();
        }
        expect(log.reduce((sum, { admitted }) => sum + admitted, 0)).toBeLessThanOrEqual(quota);
        expectWithin(rate, log, 0);
      },
    ),
    { numRuns: 150 },
  );
});

it('T1 holders that stand still, and answers that are late, add at most what the time pays back in which a token is fresh', async () => {
  await fc.assert(
    fc.asyncProperty(
      rates,
      fc.integer({ min: 1, max: 5000 }),
      fc.array(fc.record({ ...parts, holds: fc.boolean() }), { maxLength: 30 }),
      async (rate, quota, steps) => {
        const world = new LeaseWorld(4);
        const books = Array.from({ length: 4 }, () => world.book());
        const limits = limitsOf({ rate, quota: { limit: quota, per: 'day' } });
        const log: Entry[] = [];
        const admit = (): void => void log.push({ ms: world.ms, admitted: 1 });
        for (const { pauseMs, holder, requests, sweep, holds } of steps) {
          world.ms += pauseMs;
          if (!holds) await world.deliver();
          else world.held ??= [];
          if (sweep) (books[holder] as LeaseBook).sweep();
          attempt(books[holder] as LeaseBook, limits, Math.min(requests, 40), admit);
          await turns();
        }
        await world.deliver();
        expect(log.length).toBeLessThanOrEqual(quota);
        expectWithin(rate, log, FRESH_MS);
      },
    ),
    { numRuns: 100 },
  );
});
