import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLog } from '#platform';
import type { Bucket } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { KnownBuckets } from './known-buckets.js';

let ms: number;
let known: KnownBuckets;
beforeEach(() => {
  ms = 1_000_000_000;
  known = new KnownBuckets({ wallMs: () => ms, monotonicMs: () => ms }, createLog('test', 'silent'));
});

it('memory is bounded by what is in use, however many new consumers come each second', () => {
  for (let second = 0; second < 60; second++) {
    for (let i = 0; i < 3000; i++) {
      const bucket: Bucket = { kind: 'rate', name: `c:${second}:${i}`, limit: { limit: 10, per: 'second' } };
      known.of(bucket).seen = `r1 1 1000000 ${ms * 1000} ${Math.floor(ms / 1000)} 0 0 10 1`;
    }
    ms += 1000;
    known.sweep();
  }
  expect(known.size).toBeLessThan(100_000); // of 180,000, each of which was full again after a tenth of a second
});

describe('quotas, which are on the disk', () => {
  const quota = (name: string): Bucket => ({ kind: 'quota', name, limit: { limit: 10, per: 'day' } });
  const MINUTES_11 = 660_000;
  let directory: string;
  let kept: KeptCounts;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'helio-known-'));
    kept = KeptCounts.open(directory);
    known.open(() => kept);
  });
  afterEach(async () => {
    await known.close();
    await rm(directory, { recursive: true });
  });

  it('are forgotten where there is no Redis, which is owed nothing', () => {
    const alone = new KnownBuckets({ wallMs: () => ms, monotonicMs: () => ms }, createLog('test', 'silent'), true);
    const one = alone.of({ kind: 'rate', name: 'one', limit: { limit: 10, per: 'second' } });
    alone.owes(one);
    expect(alone.owing(10)).toEqual([]);
  });

  it('do not fill the memory, however many new consumers come each second', () => {
    for (let second = 0; second < 100; second++) {
      for (let i = 0; i < 3000; i++)
        known.of(quota(`c:${second}:${i}`)).seen = `q1 1 ${Math.floor(ms / 86_400_000) * 86_400_000} 1`;
      ms += 1000;
      known.sweep();
    }
    expect(known.size).toBeLessThan(150_000); // of 300,000, none of which has ended
  });

  it('are not forgotten while Redis is owed them: who read them again would charge them twice', async () => {
    const debtor = known.of(quota('debtor'));
    Object.assign(debtor, { spent: 3, spentIn: 0 });
    known.owes(debtor);
    await vi.waitFor(() => expect(kept.get('debtor')).toMatchObject({ spent: 3 }), 5_000);
    ms += MINUTES_11;
    known.sweep();
    expect(known.of(quota('debtor'))).toBe(debtor);
    expect(known.owing(10)).toEqual([debtor]);
    ms += MINUTES_11;
    for (let pass = 0; pass < 2; pass++) known.sweep();
    expect(known.size).toBe(0);
  });
});
