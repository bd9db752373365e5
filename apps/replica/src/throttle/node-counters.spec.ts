import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { createLog } from '#platform';
import type { Bucket } from '#throttle';
import { KeptCounts } from './kept-counts.js';
import { KnownBuckets } from './known-buckets.js';
import { NodeCounters } from './node-counters.js';

const MINUTES_11 = 660_000;

it('without Redis, a quota that nobody asks for leaves the memory, and is counted on from the disk', async () => {
  let ms = Date.parse('2026-05-02T12:00:00Z');
  const clock = { wallMs: () => ms, monotonicMs: () => ms };
  const directory = await mkdtemp(join(tmpdir(), 'helio-node-counters-'));
  const kept = KeptCounts.open(directory);
  const known = new KnownBuckets(clock, createLog('test', 'silent'), true);
  known.open(() => kept);
  try {
    const counters = new NodeCounters(clock, known, () => ({ own: 1, all: 1, before: 0 }));
    const quota: Bucket = { kind: 'quota', name: 'c:weather:v1:192.0.2.7', limit: { limit: 10, per: 'day' } };
    const take = (need: number) => counters.take(quota, { need, ahead: 0, held: 0, lease: 0 });
    expect(take(7)).toMatchObject({ granted: 7, remaining: 3 });
    await vi.waitFor(() => expect(kept.get(quota.name)).toMatchObject({ spent: 7 }), 5_000);
    expect(counters.size).toBe(1);
    ms += MINUTES_11;
    known.sweep();
    expect([counters.size, known.size]).toEqual([0, 0]);
    expect(take(7)).toMatchObject({ granted: 3, remaining: 0 });
  } finally {
    await known.close();
    await rm(directory, { recursive: true });
  }
});

it('without Redis, a rate that is never used up refuses nobody, however much was spent of it and however often it is swept', () => {
  let ms = Date.parse('2026-05-02T12:00:00Z');
  const clock = { wallMs: () => ms, monotonicMs: () => ms };
  const known = new KnownBuckets(clock, createLog('test', 'silent'), true);
  const counters = new NodeCounters(clock, known, () => ({ own: 1, all: 1, before: 0 }));
  const rate: Bucket = { kind: 'rate', name: 'c:weather:v1', limit: { limit: 100, per: 'second', burst: 200 } };
  let refused = 0;
  for (let n = 1; n <= 1000; n++) {
    refused += 1 - counters.take(rate, { need: 1, ahead: 0, held: 0, lease: 0 }).granted;
    ms += 50; // 20 a second
    if (n % 200 === 0) counters.sweep(); // it is full
  }
  expect(refused).toBe(0);
});
