import { LATENCY_BOUNDS_MS } from '#model';
import { describe, expect, it } from 'vitest';
import { boundsOfShare, evidence, quantile, slowerThan } from './gate-math.js';
import {
  describeFinding,
  type Gates,
  judge as judgeAt,
  NOTHING,
  type Numbers,
  sum,
  type Verdict,
  type WaveNumbers,
} from './gates.js';

const GATES: Gates = { acknowledgedWithin: 300, minRequests: 100, maxErrorShare: 0.01, p95Factor: 1.5 };

/** So many answers, each of which took `ms`. */
function numbers(requests: number, errors: number, ms = 40): Numbers {
  const bucket = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
  const at = bucket === -1 ? LATENCY_BOUNDS_MS.length : bucket;
  return { requests, errors, latency: NOTHING.latency.map((_, i) => (i === at ? requests : 0)) };
}

type InRegions = Numbers | Record<string, Numbers>;

/** Without regions, all of it is in `eu-west`. */
function wave(here: InRegions, elsewhere = NOTHING, before: InRegions = NOTHING): WaveNumbers {
  return { api: 'weather:v1', regions: byRegion(here), elsewhere, before: byRegion(before) };
}

function byRegion(all: InRegions): Map<string, Numbers> {
  return new Map(Object.entries('latency' in all ? { 'eu-west': all as Numbers } : all));
}

/** At the end of a soak, unless told otherwise. */
function judge(gates: Gates, apis: readonly WaveNumbers[], time = { ageMs: 300_000, soaked: true }): Verdict {
  return judgeAt(gates, apis, time);
}

describe('a gate', () => {
  it('P3 waits with too few requests, however good or bad they are', () => {
    for (const few of [numbers(0, 0), numbers(1, 1), numbers(99, 99), numbers(99, 0)]) {
      const verdict = judge(GATES, [wave(few, numbers(1e6, 0), numbers(1e6, 0))]);
      expect(verdict).toEqual({
        is: 'waits',
        detail: `weather:v1 has had ${few.requests} of 100 requests in this wave, as far as replicas have told (every 5 s)`,
      });
    }
  });

  it('P3 waits for each API of a release set, and does not count elsewhere or before as its own', () => {
    const verdict = judge(GATES, [wave(numbers(5000, 0)), { ...wave(numbers(3, 0), numbers(1e6, 0)), api: 'geo:v1' }]);
    expect(verdict).toEqual({
      is: 'waits',
      detail: 'geo:v1 has had 3 of 100 requests in this wave, as far as replicas have told (every 5 s)',
    });
  });

  it('passes a release that answers as it should, and fails one that answers 500', () => {
    expect(judge(GATES, [wave(numbers(100, 0))])).toEqual({ is: 'passes' });
    expect(judge(GATES, [wave(numbers(100, 30))])).toMatchObject({
      is: 'failed',
      finding: { gate: 'errors', region: null, requests: 100, share: 0.3, allowed: 0.01 },
    });
  });

  it('waits for more when what it sees may be chance', () => {
    expect(judge(GATES, [wave(numbers(100, 2))])).toEqual({
      is: 'waits',
      detail: '2.00% of 100 answers of weather:v1 in the wave were errors; 1.00% are allowed, which may be chance',
    });
    expect(judge(GATES, [wave(numbers(400, 4))])).toEqual({ is: 'passes' });
    expect(judge(GATES, [wave(numbers(4000, 80))]).is).toBe('failed');
  });

  it('names the region that fails where the others hide it', () => {
    const verdict = judge(GATES, [wave({ 'eu-west': numbers(1e5, 0), 'ap-south': numbers(200, 100) })]);
    if (verdict.is !== 'failed') throw new Error('it did not fail');
    expect(describeFinding(verdict.finding)).toBe(
      '50.00% of 200 answers of weather:v1 in ap-south were errors; 1.00% are allowed',
    );
  });

  it('sees a region that is broken though few have called it, as soon as the wave has enough requests', () => {
    const verdict = judge(GATES, [wave({ 'eu-west': numbers(5000, 0), 'ap-south': numbers(20, 20) })]);
    expect(verdict).toMatchObject({ is: 'failed', finding: { region: 'ap-south', requests: 20, share: 1 } });
    expect(judge(GATES, [wave({ 'eu-west': numbers(99, 0), 'ap-south': numbers(0, 0) })]).is).toBe('waits');
    for (const chance of [numbers(1, 1), numbers(5, 1), numbers(20, 2), numbers(100, 4)])
      expect(judge(GATES, [wave({ 'eu-west': numbers(5000, 0), 'ap-south': chance })]).is).toBe('passes');
  });

  it('that needs no requests is failed by none of a few errors, and waits for nothing', () => {
    const none = { ...GATES, minRequests: 0 };
    for (const few of [numbers(1, 1), numbers(3, 1), numbers(100, 4)]) {
      expect(judge(none, [wave(few)]).is).toBe('passes');
      expect(judge(none, [wave(few, numbers(1, 0), numbers(1, 1))]).is).toBe('passes');
    }
    expect(judge(none, [wave(numbers(50, 50), numbers(1, 1), numbers(2, 2))]).is).toBe('failed');
  });

  it('takes nothing from fewer than 100 requests elsewhere or before', () => {
    const few = { ...GATES, minRequests: 10 };
    expect(judge(few, [wave(numbers(200, 14))]).is).toBe('failed');
    expect(judge(few, [wave(numbers(200, 14), NOTHING, numbers(50, 5))]).is).toBe('failed');
    expect(judge(few, [wave(numbers(200, 14), numbers(12, 0), numbers(50, 5))]).is).toBe('waits');
    expect(judge(few, [wave(numbers(200, 14), numbers(12, 0), numbers(500, 50))]).is).toBe('passes');
  });

  it('measures a region by itself: one that is far is slow, and one that always fails a little fails a little', () => {
    const before = { 'eu-west': numbers(100_000, 0, 20), 'ap-south': numbers(1000, 50, 300) };
    const same = { 'eu-west': numbers(10_000, 0, 20), 'ap-south': numbers(100, 5, 300) };
    expect(judge(GATES, [wave(same, NOTHING, before)])).toEqual({ is: 'passes' });
    const slower = { ...same, 'ap-south': numbers(100, 5, 1000) };
    expect(judge(GATES, [wave(slower, NOTHING, before)])).toMatchObject({
      is: 'failed',
      finding: { gate: 'latency', region: 'ap-south' },
    });
    const usual = numbers(100_000, 0, 20);
    expect(judge(GATES, [wave(numbers(1000, 0, 300), usual)])).toEqual({ is: 'passes' }); // it never served there
  });

  it('adds up what regions are too slow by, each by its own measure', () => {
    const regions = Array.from({ length: 30 }, (_, n) => `region-${n}`);
    const each = (one: Numbers) => Object.fromEntries(regions.map((region) => [region, one]));
    const some = sum([numbers(30, 0, 20), numbers(4, 0, 900)]);
    expect(judge(GATES, [wave({ a: some }, NOTHING, { a: numbers(1000, 0, 20) })]).is).toBe('waits'); // 34 requests
    const verdict = judge(GATES, [wave(each(some), NOTHING, each(numbers(1000, 0, 20)))]);
    if (verdict.is !== 'failed') throw new Error('it did not fail');
    expect(describeFinding(verdict.finding)).toBe(
      '11.76% of 1020 answers of weather:v1 in the wave were slower than is allowed; 5.00% may be',
    );
  });

  it('has words for what is beyond all that is measured', () => {
    const verdict = judge(GATES, [wave(numbers(1000, 0, 60_000), NOTHING, numbers(1000, 0, 40))]);
    if (verdict.is !== 'failed') throw new Error('it did not fail');
    expect(verdict.finding.p95Ms).toBe(null);
    expect(describeFinding(verdict.finding)).toContain('in eu-west is more than 30000 ms; 74 ms are allowed');
  });

  it('does not blame a release for what is as bad elsewhere, or was as bad before', () => {
    const bad = numbers(1000, 100);
    expect(judge(GATES, [wave(bad)]).is).toBe('failed');
    expect(judge(GATES, [wave(bad, numbers(10_000, 1000))]).is).toBe('passes');
    expect(judge(GATES, [wave(bad, NOTHING, numbers(10_000, 1000))]).is).toBe('passes');
    expect(judge(GATES, [wave(bad, NOTHING, numbers(99, 99))]).is).toBe('failed'); // too few to compare with
  });

  it('fails a release that is slower than elsewhere and before, and has nothing to say without either', () => {
    const slow = numbers(1000, 0, 400);
    expect(judge(GATES, [wave(slow)]).is).toBe('passes');
    expect(judge(GATES, [wave(slow, numbers(1000, 0, 60), numbers(1000, 0, 60))])).toMatchObject({
      is: 'failed',
      finding: { gate: 'latency', allowedMs: 104, p95Ms: 490 },
    });
    expect(judge(GATES, [wave(slow, numbers(1000, 0, 400), numbers(1000, 0, 60))]).is).toBe('passes');
    expect(judge(GATES, [wave(numbers(1000, 0, 9), numbers(1000, 0, 1))]).is).toBe('passes'); // some milliseconds
  });

  it('of no requests is passed by none', () => {
    expect(judge({ ...GATES, minRequests: 0 }, [wave(NOTHING)])).toEqual({ is: 'passes' });
  });

  it('waits as long as other regions may be as bad, and have had too few requests to tell', () => {
    const bad = numbers(1000, 100);
    for (const few of [numbers(20, 2), numbers(20, 0), numbers(99, 0)])
      expect(judge(GATES, [wave(bad, few, numbers(1000, 0))])).toMatchObject({
        is: 'waits',
        detail: expect.stringMatching(/and it is not sure yet that it is the release$/),
      });
    expect(judge(GATES, [wave(bad, numbers(300, 0))]).is).toBe('failed');
    expect(judge(GATES, [wave(numbers(100, 100), numbers(5, 0))]).is).toBe('failed');
  });

  it('takes slow answers that come together for chance until the soak is over, but not most of them for a minute', () => {
    const usual = numbers(1000, 0, 40);
    const some = wave(sum([numbers(300, 0, 400), numbers(700, 0, 40)]), NOTHING, usual);
    const most = wave(numbers(1000, 0, 400), NOTHING, usual);
    expect(judge(GATES, [some], { ageMs: 200_000, soaked: false }).is).toBe('waits');
    expect(judge(GATES, [some]).is).toBe('failed');
    expect(judge(GATES, [most], { ageMs: 59_000, soaked: false }).is).toBe('waits');
    const failed = { is: 'failed', finding: { gate: 'latency' } };
    expect(judge(GATES, [most], { ageMs: 60_000, soaked: false })).toMatchObject(failed);
  });
});

describe('the arithmetic', () => {
  it('knows how sure a share is', () => {
    expect(boundsOfShare(0, 100, 1.96).upper).toBeCloseTo(0.037, 3);
    expect(boundsOfShare(0.5, 100, 1.96).lower).toBeCloseTo(0.4038, 3);
    expect(boundsOfShare(1, 3, 3)).toMatchObject({ upper: 1 });
    expect(boundsOfShare(0.2, 0, 3)).toEqual({ lower: 0, upper: 1 });
  });

  it('knows what speaks for a share above what is allowed, also of few', () => {
    expect(evidence(1, 1, 0.01)).toBeCloseTo(Math.log(100));
    expect(evidence(100, 10_000, 0.01)).toBe(0);
    expect(evidence(0, 0, 0.01)).toBe(0);
    expect(evidence(5, 5, 1)).toBe(0);
    expect(evidence(1, 5, 0)).toBe(Number.POSITIVE_INFINITY);
    const tail = (k: number, n: number, p: number): number => {
      let [term, below] = [(1 - p) ** n, 0];
      for (let i = 0; i < k; i++) {
        below += term;
        term *= (((n - i) / (i + 1)) * p) / (1 - p);
      }
      return 1 - below;
    };
    for (const [k, n] of [
      [1, 1],
      [1, 5],
      [4, 100],
      [7, 100],
      [30, 1000],
    ] as const)
      expect(Math.exp(-evidence(k, n, 0.01)) + 1e-9).toBeGreaterThan(tail(k, n, 0.01)); // a bound of the chance
  });

  it('reads quantiles and tails from histograms', () => {
    const bounds = [10, 20, 40];
    expect(quantile([0, 100, 0, 0], 0.95, bounds)).toBeCloseTo(19.5);
    expect(quantile([90, 0, 10, 0], 0.95, bounds)).toBeCloseTo(30);
    expect(quantile([0, 0, 0, 5], 0.95, bounds)).toBe(Number.POSITIVE_INFINITY);
    expect(quantile([0, 0, 0, 0], 0.95, bounds)).toBe(0);
    expect(slowerThan([10, 10, 10, 10], 30, bounds)).toBe(15);
    expect(slowerThan([10, 10, 10, 10], 40, bounds)).toBe(10);
    expect(slowerThan([10, 10, 10, 10], Number.POSITIVE_INFINITY, bounds)).toBe(0);
  });
});
