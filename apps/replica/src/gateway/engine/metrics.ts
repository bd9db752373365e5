import type { ErrorCode } from '#model';
import { ReleaseTally } from '../../telemetry/release-tally.js';
import { UsageTally } from '../../usage/usage-tally.js';
import { LatencyHistogram } from './latency-histogram.js';
import type { CounterKey, HistogramKey, WorkerReport } from './metric-families.js';
import { ProcessNumbers } from './process-numbers.js';

/** What a request that fits no API is counted under. */
const NO_API = 'none';

/** Whose numbers a report asks for: they count for themselves. */
export interface Counted {
  readonly state: { readonly revision: number };
  readonly pools: { readonly outstanding: number; report(): WorkerReport['targets'] };
  readonly leases: { readonly size: number; readonly asked: number };
  readonly cache: { readonly [key in 'hits' | 'misses' | 'evictions' | 'bytes' | 'size']: number };
  readonly accessLog: { readonly dropped: number } | null;
  readonly tracing: { readonly exporter: { readonly exported: number; readonly dropped: number } | null };
}

/**
 * Numbers of one worker: plain on the path of a request. Process 1 is told what was added since it was last told, and keeps
 * the sums, so that a worker that dies takes with it only what it had not told yet, and no sum ever falls.
 */
export class GatewayMetrics {
  inFlight = 0;
  connections = 0;
  accepted = 0;
  turnedAway = 0;
  handshakeFailures = 0;
  retries = 0;
  /** bugs that were caught */
  faults = 0;
  readonly own = new LatencyHistogram();
  readonly upstream = new LatencyHistogram();
  readonly total = new LatencyHistogram();
  readonly leaseWait = new LatencyHistogram();
  readonly usage = new UsageTally();
  readonly releases = new ReleaseTally();
  /** API -> requests by status class: 1xx .. 5xx, and at 0 those that the client broke off */
  private requests = new Map<string, number[]>();
  private refusals = new Map<ErrorCode, number>();
  private readonly told = new Map<CounterKey, number>();
  private readonly process = new ProcessNumbers();

  /** @param status 0: the client broke the request off */
  count(api: string | null, status: number, refusal: ErrorCode | null): void {
    const name = api ?? NO_API;
    let classes = this.requests.get(name);
    if (!classes) this.requests.set(name, (classes = [0, 0, 0, 0, 0, 0]));
    const index = Math.floor(status / 100);
    classes[index] = (classes[index] ?? 0) + 1;
    if (refusal !== null) this.refusals.set(refusal, (this.refusals.get(refusal) ?? 0) + 1);
  }

  /** What was added since the report before, and what is so now. */
  report(counted: Counted): WorkerReport {
    const { requests, refusals, inFlight, connections } = this;
    const { state, pools, leases, cache } = counted;
    this.requests = new Map();
    this.refusals = new Map();
    const flat: (string | number)[] = [];
    for (const [api, classes] of requests) flat.push(api, ...classes);
    return {
      requests: flat,
      refusals: Object.fromEntries(refusals),
      counters: this.added(counted),
      histograms: this.takeHistograms(),
      gauges: {
        inFlight,
        connections,
        upstreamInFlight: pools.outstanding,
        leases: leases.size,
        cacheBytes: cache.bytes,
        cacheEntries: cache.size,
      },
      process: this.process.take(),
      targets: pools.report(),
      revision: state.revision,
      usage: this.usage.take(),
      releases: this.releases.take(),
    };
  }

  close(): void {
    this.process.close();
  }

  private added({ cache, leases, accessLog, tracing }: Counted): WorkerReport['counters'] {
    const { faults, accepted, turnedAway, handshakeFailures, retries } = this;
    const totals: Record<CounterKey, number> = {
      faults,
      accepted,
      turnedAway,
      handshakeFailures,
      retries,
      leaseFetches: leases.asked,
      cacheHits: cache.hits,
      cacheMisses: cache.misses,
      cacheEvictions: cache.evictions,
      logDropped: accessLog?.dropped ?? 0,
      spansExported: tracing.exporter?.exported ?? 0,
      spansDropped: tracing.exporter?.dropped ?? 0,
    };
    const added: WorkerReport['counters'] = {};
    for (const [key, total] of Object.entries(totals) as [CounterKey, number][]) {
      const more = total - (this.told.get(key) ?? 0);
      if (more === 0) continue;
      added[key] = more;
      this.told.set(key, total);
    }
    return added;
  }

  private takeHistograms(): WorkerReport['histograms'] {
    const taken: WorkerReport['histograms'] = {};
    for (const key of ['own', 'upstream', 'total', 'leaseWait'] as const satisfies HistogramKey[]) {
      const report = this[key].take();
      if (report) taken[key] = report;
    }
    return taken;
  }
}
