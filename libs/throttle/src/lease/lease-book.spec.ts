import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CounterStore } from '../store/counter-store.js';
import { LocalCounterStore } from '../store/local-counter-store.js';
import { LeaseBook, type Limits } from './lease-book.js';

const START = Date.parse('2026-05-02T12:00:00Z');

/** A store in which nothing is waited for, and which counts how often it was asked. */
function world() {
  const time = { ms: 0 };
  const local = new LocalCounterStore({ wallMs: () => START + time.ms, monotonicMs: () => time.ms }, () => 16);
  const calls = { take: 0, give: 0 };
  const book = (): LeaseBook => {
    const counted: CounterStore = {
      take: (bucket, wish) => (calls.take++, local.take(bucket, wish)),
      give: (bucket, unused, lease) => (calls.give++, local.give(bucket, unused, lease)),
    };
    return new LeaseBook(counted, () => time.ms);
  };
  return { time, local, calls, book };
}

/** One request: whether it was admitted, and if not, by which limit. */
async function request(book: LeaseBook, limits: Limits, subscription = 's'): Promise<'spent' | 'rate' | 'quota'> {
  for (;;) {
    const spending = book.spend(subscription, limits);
    if (spending.kind === 'spent') return 'spent';
    if (spending.kind === 'refused') return spending.by;
    await book.fetch(subscription, limits);
  }
}

const admitted = (results: string[]): number => results.filter((result) => result === 'spent').length;
const perSecond = (limit: number, burst = limit): Limits => ({ rate: { limit, per: 'second', burst }, quota: null });

describe('LeaseBook', () => {
  it('T1 two holders admit exactly 10 of a burst of 30 where the limit is 10', async () => {
    const { book } = world();
    const [a, b] = [book(), book()];
    const results = await Promise.all(Array.from({ length: 30 }, (_, i) => request(i % 3 ? a : b, perSecond(10))));
    expect(admitted(results)).toBe(10);
  });

  it('T3 spends a lease, and refuses, without asking the store', async () => {
    const { book, calls } = world();
    const a = book();
    await request(a, perSecond(3200));
    expect(calls.take).toBe(1);
    for (let i = 0; i < 99; i++) await request(a, perSecond(3200));
    expect(calls.take).toBe(1);
    const small = book();
    await request(small, perSecond(1), 't');
    expect(await request(small, perSecond(1), 't')).toBe('rate');
    const before = calls.take;
    for (let i = 0; i < 100; i++) expect(await request(small, perSecond(1), 't')).toBe('rate');
    expect(calls.take).toBe(before);
  });

  it('asks once for all that wait', async () => {
    const { book, calls } = world();
    const a = book();
    await Promise.all(Array.from({ length: 20 }, () => request(a, perSecond(20))));
    expect(calls.take).toBe(1);
  });

  it('spends of both limits or of none', async () => {
    const { book } = world();
    const a = book();
    const limits: Limits = { rate: { limit: 5, per: 'hour' }, quota: { limit: 3, per: 'day' } };
    const results: string[] = [];
    for (let i = 0; i < 8; i++) results.push(await request(a, limits));
    expect(results).toEqual(['spent', 'spent', 'spent', 'quota', 'quota', 'quota', 'quota', 'quota']);
    // what the quota refused has cost the rate nothing: four are left of five, less three, and one may lie on the lease
    const raised: Limits = { ...limits, quota: { limit: 100, per: 'day' } };
    expect([await request(a, raised), await request(a, raised), await request(a, raised)]).toEqual([
      'spent',
      'spent',
      'rate',
    ]);
  });

  it('gives an idle lease back, so that another holder can spend it', async () => {
    const { book, time } = world();
    const [a, b] = [book(), book()];
    const limits: Limits = { rate: null, quota: { limit: 320, per: 'day' } };
    await request(a, limits); // and 9 lent
    expect(admitted(await Promise.all(Array.from({ length: 320 }, () => request(b, limits))))).toBe(310);
    time.ms = 499;
    a.sweep();
    b.sweep();
    time.ms = 62_000;
    a.sweep();
    b.sweep();
    expect(admitted(await Promise.all(Array.from({ length: 20 }, () => request(b, limits))))).toBe(9);
  });

  it('remembers an empty bucket until it resets, and no longer', async () => {
    const { book, time } = world();
    const a = book();
    expect([await request(a, perSecond(1)), await request(a, perSecond(1))]).toEqual(['spent', 'rate']);
    const refused = a.spend('s', perSecond(1));
    expect(refused).toMatchObject({
      kind: 'refused',
      by: 'rate',
      retryMs: 1000,
      unknown: false,
      rate: { remaining: 0 },
    });
    time.ms = 1000;
    expect(await request(a, perSecond(1))).toBe('spent');
  });

  it('asks again at once when a plan with more tokens takes the place of an empty one', async () => {
    const { book } = world();
    const a = book();
    const day = (limit: number): Limits => ({ rate: null, quota: { limit, per: 'day' } });
    expect([await request(a, day(1)), await request(a, day(1)), await request(a, day(2))]).toEqual([
      'spent',
      'quota',
      'spent',
    ]);
  });

  it('spends no token of a window that has ended', async () => {
    const { book, time } = world();
    const [a, b] = [book(), book()];
    const limits: Limits = { rate: null, quota: { limit: 64, per: 'day' } };
    await request(a, limits); // and one lent
    time.ms = 43_200_000;
    const results = await Promise.all(Array.from({ length: 80 }, (_, i) => request(i % 2 ? a : b, limits)));
    expect(admitted(results)).toBe(64);
  });

  it('T1 keeps no token that was waited for and not spent, as another limit refused: it would come on top of a full bucket', async () => {
    const { book, time } = world();
    const [a, b] = [book(), book()];
    const { rate } = perSecond(2);
    const limits: Limits = { rate, quota: { limit: 1, per: 'day' } };
    expect(await request(a, limits)).toBe('spent');
    time.ms = 1_000;
    expect(await request(b, limits)).toBe('quota');
    await new Promise((resolve) => setImmediate(resolve));
    time.ms = 5_000;
    const results = await Promise.all([a, a, b].map((one) => request(one, { rate, quota: null })));
    expect(admitted(results)).toBe(2);
  });

  it('refuses for a second while the store cannot be asked, and says so', async () => {
    const time = { ms: 0 };
    let asked = 0;
    const gone: CounterStore = { take: () => (asked++, Promise.reject(new Error('gone'))), give: () => undefined };
    const book = new LeaseBook(gone, () => time.ms);
    expect(await request(book, perSecond(10))).toBe('rate');
    expect(book.spend('s', perSecond(10))).toMatchObject({ kind: 'refused', unknown: true });
    expect(asked).toBe(1);
    time.ms = 1001;
    await request(book, perSecond(10));
    expect(asked).toBe(2);
  });

  it('forgets what nobody uses', async () => {
    const { book, time, calls } = world();
    const a = book();
    for (let i = 0; i < 100; i++) await request(a, perSecond(1000), `s${i}`);
    time.ms = 600;
    a.sweep();
    expect(calls.give).toBe(100);
    a.sweep();
    expect(calls.give).toBe(100);
    expect(a.size).toBe(0);
  });

  it('T1 however holders race, no interval admits more than the burst and what it pays back, and no window more than its quota', async () => {
    const step = fc.record({
      pauseMs: fc.integer({ min: 0, max: 900 }),
      holder: fc.integer({ min: 0, max: 3 }),
      requests: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 300 })),
      sweep: fc.boolean(),
    });
    // bursts that are full again within a pause, so that what is lent meanwhile would come on top
    const rates = fc.record({
      limit: fc.integer({ min: 1, max: 2000 }),
      per: fc.constantFrom('second' as const, 'minute' as const),
      burst: fc.integer({ min: 1, max: 150 }),
    });
    await fc.assert(
      fc.asyncProperty(
        rates,
        fc.integer({ min: 1, max: 20_000 }),
        fc.array(step, { maxLength: 25 }),
        async (rate, quota, steps) => {
          const { book, time } = world();
          const books = [1, 2, 3, 4].map(book);
          const limits: Limits = { rate, quota: { limit: quota, per: 'day' } };
          const log: { ms: number; admitted: number }[] = [];
          for (const { pauseMs, holder, requests, sweep } of steps) {
            time.ms += pauseMs;
            if (sweep) for (const one of books) one.sweep();
            const own = books[holder] as LeaseBook;
            const other = books[(holder + 1) % 4] as LeaseBook;
            const results = await Promise.all(
              Array.from({ length: requests }, (_, i) => request(i % 2 ? own : other, limits)),
            );
            log.push({ ms: time.ms, admitted: admitted(results) });
          }
          expect(log.reduce((sum, entry) => sum + entry.admitted, 0)).toBeLessThanOrEqual(quota);
          const tick = (ms: number): number => Math.floor((ms * 1000) / (rate.per === 'second' ? 1 : 60));
          for (let from = 0; from < log.length; from++) {
            let sum = 0;
            for (let to = from; to < log.length; to++) {
              sum += log[to]?.admitted ?? 0;
              const paid = ((tick(log[to]?.ms ?? 0) - tick(log[from]?.ms ?? 0)) * rate.limit) / 1_000_000;
              expect(sum).toBeLessThanOrEqual(Math.floor(rate.burst + paid));
            }
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});
