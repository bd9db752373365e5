import { LATENCY_BOUNDS_MS } from '#model';
import { type Gates, judge, NOTHING, type Numbers, sum, type Verdict } from '../../apps/master/src/promotions/gates.js';
import { BAD, GOOD, type Load, type Moment, SOAK_REPORTS } from './patterns.js';

/** The ones of the house. */
const GATES: Gates = { acknowledgedWithin: 300, minRequests: 100, maxErrorShare: 0.01, p95Factor: 1.5 };
const REPORT_SECONDS = 5;
/** Soaks after which it is taken to wait for ever. */
const MOST_SOAKS = 12;
/** Reports before the wave that it is compared with: 15 minutes. */
const BEFORE = 180;
/** Of the replicas' processes, a report: what came since the last report is not counted, nor what comes before the next one. */
const RESTARTS = 0.003;

export interface Trial {
  kind: string;
  good: boolean;
  /** `waits`: neither, an hour after it began */
  outcome: Verdict['is'];
  /** from the wave's beginning */
  seconds: number;
  gate: string | null;
}

/** mulberry32: the same every time */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** As many good releases as bad ones, of each kind as many as of any other. */
export function* trials(count: number, random: () => number): Generator<Trial> {
  for (const [good, kinds] of [
    [true, Object.entries(GOOD)],
    [false, Object.entries(BAD)],
  ] as const) {
    for (let n = 0; n < count / 2; n++) {
      const [kind, pattern] = kinds[n % kinds.length] as (typeof kinds)[number];
      yield { kind, good, ...soak(pattern(random), random) };
    }
  }
}

/** A wave of two regions and another region, looked at at each report until it is decided. */
function soak(pattern: (usual: Load, moment: Moment) => Load, random: () => number): Omit<Trial, 'kind' | 'good'> {
  // 30 to 600 requests a minute, up to 0.8 % errors, a median of 10 to 200 ms
  const usual = { rate: 2.5 * 20 ** random(), errors: 0.008 * random(), median: 10 * 20 ** random(), slow: 0 };
  const seen = (report: number, region: Moment['region'], fresh: boolean): Numbers =>
    random() < RESTARTS ? NOTHING : arrivals(pattern(usual, { report, region, fresh }), random);
  const earlier = (region: 0 | 1): Numbers =>
    sum(Array.from({ length: BEFORE }, (_, n) => seen(n - BEFORE, region, false)));
  const before = new Map([
    ['eu-west', earlier(0)],
    ['us-east', earlier(1)],
  ]);
  let [one, two, elsewhere] = [NOTHING, NOTHING, NOTHING];
  for (let report = 1; report <= MOST_SOAKS * SOAK_REPORTS; report++) {
    one = sum([one, seen(report, 0, true)]);
    two = sum([two, seen(report, 1, true)]);
    elsewhere = sum([elsewhere, seen(report, null, false)]);
    const regions = new Map([
      ['eu-west', one],
      ['us-east', two],
    ]);
    const verdict = judge(GATES, [{ api: 'weather:v1', regions, elsewhere, before }], {
      ageMs: report * REPORT_SECONDS * 1000,
      soaked: report >= SOAK_REPORTS,
    });
    const decided = verdict.is === 'failed' || (verdict.is === 'passes' && report >= SOAK_REPORTS);
    const gate = verdict.is === 'failed' ? verdict.finding.gate : null;
    if (decided) return { outcome: verdict.is, seconds: report * REPORT_SECONDS, gate };
  }
  return { outcome: 'waits', seconds: MOST_SOAKS * SOAK_REPORTS * REPORT_SECONDS, gate: null };
}

/** What came in the time of one report. */
function arrivals({ rate, errors, median, slow }: Load, random: () => number): Numbers {
  const latency = [...NOTHING.latency];
  const requests = poisson(rate, random);
  let failed = 0;
  for (let n = 0; n < requests; n++) {
    if (random() < errors) failed += 1;
    // nearly log-normal, its 95th percentile at 2.4 times the median
    const ms = median * Math.exp(1.06 * (random() + random() + random() - 1.5)) * (random() < slow ? 10 : 1);
    const bucket = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
    const at = bucket === -1 ? LATENCY_BOUNDS_MS.length : bucket;
    latency[at] = (latency[at] ?? 0) + 1;
  }
  return { requests, errors: failed, latency };
}

function poisson(mean: number, random: () => number): number {
  if (mean > 30) return Math.max(0, Math.round(mean + Math.sqrt(mean) * 2 * (random() + random() + random() - 1.5)));
  let [count, left] = [0, Math.exp(mean) * random()];
  while (left > 1) {
    count += 1;
    left *= random();
  }
  return count;
}
