import { LATENCY_BOUNDS_MS } from '#model';
import { boundsOfShare, evidence, quantile, slowerThan } from './gate-math.js';

/** What is asked of a wave before the next one may begin. */
export interface Gates {
  /** seconds that its replicas have to acknowledge it */
  acknowledgedWithin: number;
  /** of each API, in the wave's regions since it began; below, nothing is decided. 0: none are needed */
  minRequests: number;
  /** share of answers with 500 and above that is always allowed */
  maxErrorShare: number;
  /** how many times as long the 95th percentile may be as elsewhere, or before */
  p95Factor: number;
}

/** Requests of one API. */
export interface Numbers {
  requests: number;
  errors: number;
  /** by the bounds of `LATENCY_BOUNDS_MS` */
  latency: readonly number[];
}

/** What is known of one API in a wave. */
export interface WaveNumbers {
  api: string;
  /** of the release that is promoted, since the wave began, by region of the wave */
  regions: ReadonlyMap<string, Numbers>;
  /** of other releases, in other regions, in that time */
  elsewhere: Numbers;
  /** of other releases in the wave's regions, in the minutes before it began */
  before: ReadonlyMap<string, Numbers>;
}

export type Gate = 'errors' | 'latency';

/** What a gate saw when it failed, or has to be waited for. */
export interface Finding {
  gate: Gate;
  api: string;
  /** null: all of the wave together */
  region: string | null;
  requests: number;
  /** share of answers with 500 and above, or of those slower than is allowed */
  share: number;
  allowed: number;
  /** of one region, for `latency`: the 95th percentile, null where it is beyond what is measured; and what is allowed */
  p95Ms?: number | null;
  allowedMs?: number;
}

export type Verdict =
  | { is: 'failed'; finding: Finding }
  | { is: 'waits'; detail: string }
  /** nothing speaks against it now */
  | { is: 'passes' };

/** How far the wave has come. */
export interface WaveTime {
  /** since it came into its state */
  ageMs: number;
  /** whether it has soaked as long as it was to */
  soaked: boolean;
}

/**
 * How sure it has to be that a share is larger than is allowed: by chance alone it would be seen once in 740 times at the most.
 * Looked at again and again over a soak, a share at its limit exceeds smaller ones sooner or later by chance.
 */
const SURE = Math.log(740);
/** How surely other regions have to be better, in standard deviations, before a release is blamed for what they may share. */
const SURE_ELSEWHERE = 3.5;
/**
 * Slow requests come together: a neighbour, a disk or a failover makes all of some seconds slow. So before the end of the soak
 * a release is too slow only where most of its requests were, for so long.
 */
const SLOW_AT_ONCE = { share: 0.5, afterMs: 60_000 };
/** Fewer requests are nothing to compare with: one error among them would allow many. */
const LEAST_COMPARED = 100;
/** A latency below this much more is never held against a release: it is the width of a bucket, or a slow neighbour. */
const SPARE_MS = 20;
/** of requests may take longer than the 95th percentile */
const TAIL = 0.05;

/**
 * Decides from numbers alone. It fails when it is beyond chance that a share is too large, in the wave or in one of its regions; it
 * passes when there are enough requests and the wave's share is not; between the two it waits for more.
 */
export function judge(gates: Gates, apis: readonly WaveNumbers[], time: WaveTime): Verdict {
  let waits: string | null = null;
  for (const numbers of apis) {
    const { requests } = sum([...numbers.regions.values()]);
    if (requests < gates.minRequests) {
      waits = `${numbers.api} has had ${requests} of ${gates.minRequests} requests in this wave, as far as replicas have told (every 5 s)`;
      continue;
    }
    for (const finding of [...errorsOf(gates, numbers), ...latenciesOf(gates, numbers)]) {
      const count = Math.floor(finding.share * finding.requests + 1e-6); // of slow ones there may be parts
      const { requests: seen, allowed } = finding;
      if (evidence(count, seen, excused(gates, finding, numbers, time)) > SURE) return { is: 'failed', finding };
      if (evidence(count, seen, allowed) > SURE) {
        waits ??= `${describeFinding(finding)}, and it is not sure yet that it is the release`;
      } else if (gates.minRequests > 0 && finding.region === null && finding.share > finding.allowed)
        waits ??= `${describeFinding(finding)}, which may be chance`;
    }
  }
  return waits === null ? { is: 'passes' } : { is: 'waits', detail: waits };
}

/** What is allowed as long as it is not known better: it does not fail then, nor does it pass. */
function excused(gates: Gates, { gate, allowed }: Finding, { elsewhere }: WaveNumbers, time: WaveTime): number {
  if (gate === 'latency' && !time.soaked) return time.ageMs < SLOW_AT_ONCE.afterMs ? 1 : SLOW_AT_ONCE.share;
  const { errors, requests } = elsewhere;
  // where no requests are needed nothing is waited for
  if (gate === 'latency' || requests === 0 || gates.minRequests === 0) return allowed;
  return Math.max(allowed, boundsOfShare(errors / requests, requests, SURE_ELSEWHERE).upper);
}

/** Of the wave, and of each region. What is as bad elsewhere, or was as bad there before, is not the release's fault. */
function errorsOf(gates: Gates, { api, regions, elsewhere, before }: WaveNumbers): Finding[] {
  const parts: [string | null, Numbers, Numbers][] = [
    [null, sum([...regions.values()]), sum([...before.values()])],
    ...[...regions].map(([region, part]): [string, Numbers, Numbers] => [region, part, before.get(region) ?? NOTHING]),
  ];
  return parts.flatMap(([region, part, earlier]) => {
    const usual = comparable(gates, [elsewhere, earlier]).map(
      (one) => boundsOfShare(one.errors / one.requests, one.requests, 1).upper,
    );
    const allowed = Math.max(gates.maxErrorShare, ...usual);
    return finding({ gate: 'errors', api, region, requests: part.requests, allowed }, part.errors);
  });
}

/**
 * Of each region that has served the API before, and of all of these: a region is slow by its own measure, as distances differ.
 * Where others have become slow, too, it may be as slow.
 */
function latenciesOf(gates: Gates, { api, regions, elsewhere, before }: WaveNumbers): Finding[] {
  const all = { requests: 0, slow: 0 };
  const found = [...regions].flatMap(([region, part]) => {
    const own = comparable(gates, [before.get(region) ?? NOTHING]);
    if (own.length === 0) return [];
    const usual = [...own, ...comparable(gates, [elsewhere])].map((one) => p95(one.latency));
    const slowest = Math.max(...usual);
    const allowedMs = Math.max(slowest * gates.p95Factor, slowest + SPARE_MS);
    const slow = slowerThan(part.latency, allowedMs, LATENCY_BOUNDS_MS);
    all.requests += part.requests;
    all.slow += slow;
    const ms = p95(part.latency);
    const p95Ms = Number.isFinite(ms) ? Math.round(ms) : null;
    const known = { gate: 'latency', api, region, requests: part.requests, allowed: TAIL } as const;
    return finding({ ...known, p95Ms, allowedMs: Math.round(allowedMs) }, slow);
  });
  return [
    ...found,
    ...finding({ gate: 'latency', api, region: null, requests: all.requests, allowed: TAIL }, all.slow),
  ];
}

/** None where there were no requests. */
function finding(known: Omit<Finding, 'share'>, count: number): Finding[] {
  return known.requests === 0 ? [] : [{ ...known, share: count / known.requests }];
}

function comparable(gates: Gates, all: readonly Numbers[]): Numbers[] {
  return all.filter(({ requests }) => requests >= Math.max(LEAST_COMPARED, gates.minRequests));
}

function p95(latency: readonly number[]): number {
  return quantile(latency, 1 - TAIL, LATENCY_BOUNDS_MS);
}

export function sum(all: readonly Numbers[]): Numbers {
  return all.reduce<Numbers>(
    (a, b) => ({
      requests: a.requests + b.requests,
      errors: a.errors + b.errors,
      latency: a.latency.map((count, i) => count + (b.latency[i] ?? 0)),
    }),
    NOTHING,
  );
}

export const NOTHING: Numbers = { requests: 0, errors: 0, latency: [...LATENCY_BOUNDS_MS, 0].map(() => 0) };

/** One sentence for people. */
export function describeFinding({ gate, api, region, requests, share, allowed, p95Ms, allowedMs }: Finding): string {
  const where = region === null ? 'in the wave' : `in ${region}`;
  if (gate === 'errors')
    return `${percent(share)} of ${requests} answers of ${api} ${where} were errors; ${percent(allowed)} are allowed`;
  if (allowedMs === undefined)
    return `${percent(share)} of ${requests} answers of ${api} ${where} were slower than is allowed; ${percent(allowed)} may be`;
  const is = p95Ms === null ? `more than ${LATENCY_BOUNDS_MS.at(-1)} ms` : `${p95Ms} ms`;
  return `the 95th percentile of ${requests} answers of ${api} ${where} is ${is}; ${allowedMs} ms are allowed`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)}%`;
}
