import { releaseNumbers } from '#model';
import { describe, expect, it } from 'vitest';
import { ReleaseBook } from './release-book.js';
import { ReleaseTally } from './release-tally.js';

const api = (n: number) => ({ id: 'weather:v1', digest: n.toString(16).padStart(64, '0') });
const BOOT = '00ff'.repeat(4);

describe('what releases have answered', () => {
  it('is counted by release: requests, errors, and how long they took', () => {
    const tally = new ReleaseTally();
    tally.count(api(1), 200, false, 0.4);
    tally.count(api(1), 404, false, 12);
    tally.count(api(1), 502, true, 31_000);
    tally.count(api(2), 200, false, 30);
    const [first, second] = tally.take();
    expect(first).toMatchObject({ api: 'weather:v1', release: api(1).digest, requests: 3, errors: 1 });
    expect(first?.latency.flatMap((count, i) => (count ? [i] : []))).toEqual([0, 6, 24]);
    expect(second).toMatchObject({ release: api(2).digest, requests: 1, errors: 0 });
    expect(tally.take()).toEqual([]);
  });

  it('does not hold what the gateway refused, what was broken off, and what was for no API', () => {
    const tally = new ReleaseTally();
    tally.count(api(1), 401, true, 1);
    tally.count(api(1), 429, true, 1);
    tally.count(api(1), 0, false, 1);
    tally.count(api(1), 101, false, 1);
    tally.count(null, 404, true, 1);
    expect(tally.take()).toEqual([]);
  });

  it('is told as sums that only grow, and only of releases that were asked for since', () => {
    const book = new ReleaseBook(BOOT);
    const tally = new ReleaseTally();
    expect(book.report()).toBeUndefined();
    for (let n = 0; n < 3; n++) {
      tally.count(api(1), 200, false, 1);
      book.add(tally.take());
    }
    tally.count(api(2), 500, false, 1);
    book.add(tally.take());
    expect(book.report()?.counts.map(({ requests, errors }) => [requests, errors])).toEqual([
      [3, 0],
      [1, 1],
    ]);
    expect(book.report()).toBeUndefined();
    tally.count(api(1), 500, false, 1);
    book.add(tally.take());
    const report = releaseNumbers.parse(book.report());
    expect(report.counts).toMatchObject([{ release: api(1).digest, requests: 4, errors: 1 }]);
    expect(report.counts[0]?.latency[0]).toBe(4);
  });

  it('of very many takes turns', () => {
    const book = new ReleaseBook(BOOT);
    const tally = new ReleaseTally();
    for (let n = 0; n < 1200; n++) tally.count(api(n), 200, false, 1);
    book.add(tally.take());
    expect([1, 2, 3, 4, 5].map(() => book.report()?.counts.length)).toEqual([250, 250, 250, 250, 200]);
    expect(book.report()).toBeUndefined();
  });
});
