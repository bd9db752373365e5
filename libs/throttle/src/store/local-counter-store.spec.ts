import { describe, expect, it } from 'vitest';
import { DAY_MS } from '../algorithm/quota.js';
import type { Bucket, Grant } from './counter-store.js';
import { LocalCounterStore } from './local-counter-store.js';

const START = Date.parse('2026-05-02T12:00:00Z');

function storeAt(holders = 1) {
  const time = { ms: 1 };
  const clock = { wallMs: () => START + time.ms, monotonicMs: () => time.ms };
  const store = new LocalCounterStore(clock, () => holders);
  const take = (bucket: Bucket, need: number, ahead = 0, held = 0, lease = 0): Grant =>
    store.takeNow(bucket, { need, ahead, held, lease });
  return { store, take, time };
}

const rate = (limit: number, burst = limit): Bucket => ({
  kind: 'rate',
  name: 's',
  limit: { limit, per: 'second', burst },
});
const quota = (limit: number, per: 'day' | 'month' = 'day'): Bucket => ({
  kind: 'quota',
  name: 's',
  limit: { limit, per },
});

describe('LocalCounterStore', () => {
  it('counts token by token and says when the next one comes', () => {
    const { take, time } = storeAt();
    expect(take(rate(10), 8)).toMatchObject({ granted: 8, lent: 0, remaining: 2, resetMs: 800, retryMs: 0 });
    expect(take(rate(10), 8)).toMatchObject({ granted: 2, lent: 0, remaining: 0, resetMs: 1000, retryMs: 100 });
    time.ms += 100;
    expect(take(rate(10), 8)).toMatchObject({ granted: 1, remaining: 0 });
  });

  it('lends what is wished for, and at most half of a fair share of what remains after those that wait', () => {
    const { take } = storeAt(4);
    expect(take(rate(81), 1, 5)).toMatchObject({ granted: 1, lent: 5, remaining: 75 });
    expect(take(rate(81), 1, 50)).toMatchObject({ granted: 1, lent: 9, remaining: 65 });
    expect(take(rate(81), 60, 50)).toMatchObject({ granted: 60, lent: 0, remaining: 5 });
    expect(take(rate(81), 6, 50)).toMatchObject({ granted: 5, lent: 0, remaining: 0 });
  });

  it('renews a lease: what is held is part of the new one, or comes back', () => {
    const { take } = storeAt();
    const first = take(rate(100), 0, 20);
    const second = take(rate(100), 0, 30, 12, first.lease);
    expect(second).toMatchObject({ granted: 0, lent: 30, remaining: 100 - 8 - 30 });
    expect(take(rate(100), 0, 0, 30, second.lease)).toMatchObject({ lent: 0, remaining: 92 });
  });

  it('T1 what is lent and what is in the bucket never come to more than the burst', () => {
    const { store, take, time } = storeAt();
    const { lease, lent } = take(rate(320), 1, 9);
    expect(lent).toBe(9);
    time.ms = 1999;
    expect(take(rate(320), 320).granted).toBe(311);
    store.give(rate(320), 9, lease);
    expect(take(rate(320), 320).granted).toBe(9);
  });

  it('counts on a lease that did not come back for no more than twice its time', () => {
    const { take, time } = storeAt();
    take(rate(320), 1, 100);
    time.ms = 3000;
    expect(take(rate(320), 320).granted).toBe(320);
  });

  it('goes by the new limit from when a plan changes, and keeps the debt', () => {
    const { take } = storeAt();
    take(rate(10), 10);
    expect(take(rate(10, 30), 30)).toMatchObject({ granted: 20 });
    expect(take(rate(5), 1)).toMatchObject({ granted: 0, remaining: 0, retryMs: 5200 });
  });

  it('keeps what was used of a quota when the plan changes, its window too', () => {
    const { take } = storeAt();
    take(quota(10), 10);
    expect(take(quota(12), 5).granted).toBe(2);
    expect(take(quota(20, 'month'), 20).granted).toBe(8);
    expect(take(quota(20), 1).granted).toBe(0);
  });

  it('counts a quota within its window and takes back only tokens of the running one', () => {
    const { store, take, time } = storeAt();
    const taken = take(quota(3), 2);
    expect(taken).toMatchObject({ granted: 2, remaining: 1, resetMs: DAY_MS / 2 - 1, retryMs: 0 });
    store.give(quota(3), 1, taken.lease);
    expect(take(quota(3), 5)).toMatchObject({ granted: 2, remaining: 0, retryMs: DAY_MS / 2 - 1 });
    time.ms = DAY_MS / 2;
    expect(take(quota(3), 3).granted).toBe(3);
    store.give(quota(3), 1, taken.lease);
    expect(take(quota(3), 1, 0, 1, taken.lease).granted).toBe(0);
  });

  it('opens no window again when the clock is set back, and is not held by one of a clock that was wrong by far', () => {
    const { take, time } = storeAt();
    time.ms = DAY_MS / 2;
    take(quota(3), 3);
    time.ms -= 10;
    expect(take(quota(3), 1)).toMatchObject({ granted: 0, retryMs: DAY_MS + 10 });
    time.ms = 400 * DAY_MS;
    take(quota(5), 4);
    time.ms = DAY_MS / 2;
    expect(take(quota(5), 3)).toMatchObject({ granted: 1, resetMs: DAY_MS });
  });

  it('drops full buckets and ended windows, and none that still counts', () => {
    const { store, take, time } = storeAt();
    take(rate(10), 5);
    take(quota(100), 5);
    take({ ...quota(100, 'month'), name: 't' }, 5);
    store.sweep();
    expect(store.size).toBe(3);
    time.ms = 501;
    store.sweep();
    expect(store.size).toBe(2);
    time.ms = DAY_MS / 2;
    store.sweep();
    expect(store.size).toBe(1);
    time.ms = 31 * DAY_MS;
    store.sweep();
    expect(store.size).toBe(0);
  });
});
