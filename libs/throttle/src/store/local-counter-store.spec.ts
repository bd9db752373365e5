import { describe, expect, it } from 'vitest';
import type { BucketSpec } from './counter-store.js';
import { LocalCounterStore } from './local-counter-store.js';

const START = Date.parse('2026-05-02T12:00:00Z');

function storeAt() {
  const time = { ms: 0 };
  const store = new LocalCounterStore({ wallMs: () => START + time.ms, monotonicMs: () => time.ms });
  return { store, time };
}

const rate = (limit: number, burst = limit): BucketSpec => ({
  kind: 'rate',
  subscription: 's',
  limit: { limit, per: 'second', burst },
});
const quota = (limit: number, per: 'day' | 'month' = 'day'): BucketSpec => ({
  kind: 'quota',
  subscription: 's',
  limit: { limit, per },
});

describe('LocalCounterStore', () => {
  it('counts a small limit token by token and says when the next one comes', () => {
    const { store, time } = storeAt();
    expect(store.take('a', rate(10), 8)).toEqual({ granted: 8, remaining: 2, resetMs: 800, retryMs: 0, window: 0 });
    expect(store.take('b', rate(10), 8)).toEqual({ granted: 2, remaining: 0, resetMs: 1000, retryMs: 100, window: 0 });
    time.ms = 100;
    expect(store.take('b', rate(10), 8)).toMatchObject({ granted: 1, remaining: 0 });
  });

  it('lends a 32nd of what remains beyond what is waited for', () => {
    const { store } = storeAt();
    expect(store.take('a', rate(321), 1)).toMatchObject({ granted: 11, remaining: 310 });
  });

  it('T1 what is lent and what is in the bucket never come to more than the burst', () => {
    const { store, time } = storeAt();
    expect(store.take('a', rate(320, 320), 1).granted).toBe(10); // 9 of them lent
    time.ms = 60_000;
    expect(store.take('b', rate(320, 320), 320).granted).toBe(311);
    store.give('a', rate(320, 320), 9, 0);
    expect(store.take('b', rate(320, 320), 320).granted).toBe(9);
  });

  it('lets go of what was lent when the holder takes again, gives back, or is gone', () => {
    for (const end of ['take', 'give', 'forget'] as const) {
      const { store, time } = storeAt();
      store.take('a', rate(320), 1);
      time.ms = 60_000;
      if (end === 'take') store.take('a', rate(320), 320);
      if (end === 'give') store.give('a', rate(320), 0, 0);
      if (end === 'forget') store.forget('a');
      time.ms = 120_000;
      expect(store.take('b', rate(320), 320).granted).toBe(320);
    }
  });

  it('goes by the new limit from when a plan changes, and keeps the debt', () => {
    const { store } = storeAt();
    store.take('a', rate(10), 10);
    expect(store.take('a', rate(10, 30), 30)).toMatchObject({ granted: 20 });
    expect(store.take('a', rate(5), 1)).toMatchObject({ granted: 0, remaining: 0, retryMs: 5200 });
  });

  it('counts a quota within its window and takes back only tokens of the running one', () => {
    const { store, time } = storeAt();
    const taken = store.take('a', quota(3), 2);
    expect(taken).toEqual({
      granted: 2,
      remaining: 1,
      resetMs: 43_200_000,
      retryMs: 0,
      window: Date.parse('2026-05-02T00:00:00Z'),
    });
    store.give('a', quota(3), 1, taken.window);
    expect(store.take('a', quota(3), 5)).toMatchObject({ granted: 2, remaining: 0, retryMs: 43_200_000 });
    time.ms = 43_200_000;
    expect(store.take('a', quota(3), 3).granted).toBe(3);
    store.give('a', quota(3), 1, taken.window);
    expect(store.take('a', quota(3), 1).granted).toBe(0);
  });

  it('drops full buckets and ended windows, and none that still counts', () => {
    const { store, time } = storeAt();
    store.take('a', rate(10), 5);
    store.take('a', quota(100), 5);
    store.take('a', { ...quota(100, 'month'), subscription: 't' }, 5);
    store.sweep();
    expect(store.size).toBe(3);
    time.ms = 500;
    store.sweep();
    expect(store.size).toBe(2);
    time.ms = 43_200_000;
    store.sweep();
    expect(store.size).toBe(1);
    time.ms = 31 * 86_400_000;
    store.sweep();
    expect(store.size).toBe(0);
  });
});
