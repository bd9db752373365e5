import { expect, it } from 'vitest';
import { createLog } from '#platform';
import type { Bucket } from '#throttle';
import { KnownBuckets } from './known-buckets.js';

it('memory is bounded by what is in use, however many new consumers come each second', () => {
  let ms = 1_000_000_000;
  const known = new KnownBuckets({ wallMs: () => ms, monotonicMs: () => ms }, createLog('test', 'silent'));
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
