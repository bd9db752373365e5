import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from 'prom-client';
import type { ErrorCode } from '#model';
import { LatencyHistogram } from './latency-histogram.js';

/** What a request that fits no API is counted under. */
const NO_API = 'none';

/** Numbers of one worker; process 1 adds those of all workers up. */
export class GatewayMetrics {
  readonly registry = new Registry();
  private readonly loopDelay: IntervalHistogram = monitorEventLoopDelay({ resolution: 10 });
  /** API -> requests by status class: 1xx .. 5xx, and at 0 those that the client broke off */
  private readonly requests = new Map<string, number[]>();
  private readonly refusals = new Map<ErrorCode, number>();
  inFlight = 0;
  connections = 0;
  /** bugs that were caught */
  faults = 0;

  readonly own = this.histogram('heliograph_gateway_own_seconds', 'Time that the gateway itself took for a request');
  readonly upstream = this.histogram(
    'heliograph_gateway_upstream_seconds',
    "Time from sending a request upstream to its answer's head",
  );

  constructor(region: string, worker: string, probes: { revision: () => number; upstreamInFlight: () => number }) {
    this.registry.setDefaultLabels({ region });
    this.loopDelay.enable();
    this.countersOf();
    this.gauge('heliograph_gateway_in_flight', 'Requests under way', () => this.inFlight);
    this.gauge('heliograph_gateway_upstream_in_flight', 'Requests under way to upstreams', probes.upstreamInFlight);
    this.gauge('heliograph_gateway_connections', 'Connections of clients', () => this.connections);
    this.gauge('heliograph_gateway_revision', 'Revision that a worker has loaded', probes.revision, worker);
    this.gauge(
      'heliograph_gateway_memory_bytes',
      'Resident memory of a worker',
      () => process.memoryUsage.rss(),
      worker,
    );
    this.gauge(
      'heliograph_gateway_event_loop_delay_seconds',
      "Delay of a worker's event loop since the last scrape, 99th percentile",
      () => this.takeLoopDelay(),
      worker,
    );
  }

  /** @param status 0: the client broke the request off */
  count(api: string | null, status: number, refusal: ErrorCode | null): void {
    const name = api ?? NO_API;
    let classes = this.requests.get(name);
    if (!classes) this.requests.set(name, (classes = [0, 0, 0, 0, 0, 0]));
    const index = Math.floor(status / 100);
    classes[index] = (classes[index] ?? 0) + 1;
    if (refusal !== null) this.refusals.set(refusal, (this.refusals.get(refusal) ?? 0) + 1);
  }

  close(): void {
    this.loopDelay.disable();
  }

  /** Plain numbers on the path of a request, made into metrics when somebody looks. */
  private countersOf(): void {
    const { requests, refusals } = this;
    const registers = [this.registry];
    new Counter({
      name: 'heliograph_gateway_requests_total',
      help: 'Requests by API and class of the status; "aborted" for those that the client broke off',
      labelNames: ['api', 'status'],
      registers,
      collect() {
        this.reset();
        for (const [api, classes] of requests) {
          for (const [index, count] of classes.entries())
            if (count > 0) this.inc({ api, status: index === 0 ? 'aborted' : `${index}xx` }, count);
        }
      },
    });
    new Counter({
      name: 'heliograph_gateway_refusals_total',
      help: 'Requests that the gateway answered with a problem document, by its code',
      labelNames: ['code'],
      registers,
      collect() {
        this.reset();
        for (const [code, count] of refusals) this.inc({ code }, count);
      },
    });
    const faults = (): number => this.faults;
    new Counter({
      name: 'heliograph_gateway_faults_total',
      help: 'Faults of the gateway itself; each is in the log',
      registers,
      collect() {
        this.reset();
        this.inc(faults());
      },
    });
  }

  private histogram(name: string, help: string): LatencyHistogram {
    return new LatencyHistogram(name, help, this.registry);
  }

  private gauge(name: string, help: string, value: () => number, worker?: string): void {
    new Gauge({
      name,
      help,
      labelNames: worker === undefined ? [] : ['worker'],
      registers: [this.registry],
      collect() {
        if (worker === undefined) this.set(value());
        else this.set({ worker }, value());
      },
    });
  }

  private takeLoopDelay(): number {
    const seconds = this.loopDelay.percentile(99) / 1e9;
    this.loopDelay.reset();
    return Number.isFinite(seconds) ? seconds : 0;
  }
}
