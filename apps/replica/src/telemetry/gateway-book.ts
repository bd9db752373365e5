import { setImmediate as turn } from 'node:timers/promises';
import {
  BUCKETS,
  type CounterKey,
  COUNTERS,
  type GaugeKey,
  GAUGES,
  type HistogramKey,
  type HistogramReport,
  HISTOGRAMS,
  PROCESS_GAUGES,
  type ProcessGaugeKey,
  type ProcessReport,
  STATUS_CLASSES,
  type WorkerReport,
} from '../gateway/engine/metric-families.js';
import { ProcessNumbers } from '../gateway/engine/process-numbers.js';
import { Exposition } from './exposition.js';
import { TargetLines } from './target-lines.js';

/** Lines that are written without a pause: process 1 has more to do, and 10,000 APIs are 60,000 lines. */
const LINES_AT_ONCE = 5000;

interface Worker {
  /** 1, 2 ...: the lowest that is free, so that workers that die do not make new series for ever */
  place: number;
  last: WorkerReport;
  /** monotonic milliseconds */
  toldAt: number;
}

/** What the workers have told, in sums that outlive them: a counter never falls while process 1 lives. */
export class GatewayBook {
  private readonly workers = new Map<string, Worker>();
  private readonly requests = new Map<string, number[]>();
  private readonly refusals = new Map<string, number>();
  private readonly counters = new Map<CounterKey, number>();
  private readonly histograms = new Map<HistogramKey, HistogramReport>();
  private readonly targets: TargetLines;
  private readonly main = new ProcessNumbers();
  /** workers that ended without having been told to */
  deaths = 0;

  /** @param now monotonic milliseconds */
  constructor(
    private readonly region: string,
    private readonly now: () => number,
  ) {
    this.targets = new TargetLines(now);
  }

  add(name: string, report: WorkerReport): void {
    const place = this.workers.get(name)?.place ?? this.freePlace();
    this.workers.set(name, { place, last: report, toldAt: this.now() });
    this.addRequests(report.requests);
    this.targets.add(report.targets);
    for (const [code, count] of Object.entries(report.refusals))
      this.refusals.set(code, (this.refusals.get(code) ?? 0) + count);
    for (const [key, count] of Object.entries(report.counters) as [CounterKey, number][])
      this.counters.set(key, (this.counters.get(key) ?? 0) + count);
    for (const [key, more] of Object.entries(report.histograms) as [HistogramKey, HistogramReport][]) {
      const known = this.histograms.get(key) ?? { counts: more.counts.map(() => 0), sum: 0 };
      this.histograms.set(key, {
        counts: known.counts.map((count, i) => count + (more.counts[i] ?? 0)),
        sum: known.sum + more.sum,
      });
    }
  }

  /** The worker is gone; what it counted stays. */
  forget(name: string): void {
    this.workers.delete(name);
  }

  /** @param listening how many workers take connections */
  async text(listening: number): Promise<string> {
    const out = new Exposition({ region: this.region });
    await this.writeRequests(out);
    out.family(
      'heliograph_gateway_refusals_total',
      'counter',
      'Requests that the gateway itself refused, by the code.',
    );
    for (const [code, count] of this.refusals) out.sample('heliograph_gateway_refusals_total', count, { code });
    for (const [key, [name, help]] of Object.entries(COUNTERS))
      out.single(name, 'counter', help, this.counters.get(key as CounterKey) ?? 0);
    for (const [key, [name, help]] of Object.entries(HISTOGRAMS)) {
      const { counts, sum } = this.histograms.get(key as HistogramKey) ?? NOTHING;
      out.histogram(name, help, BUCKETS, counts, sum);
    }
    const workers = [...this.workers.values()].sort((a, b) => a.place - b.place);
    for (const [key, [name, help]] of Object.entries(GAUGES)) {
      const sum = workers.reduce((total, { last }) => total + last.gauges[key as GaugeKey], 0);
      out.single(name, 'gauge', help, sum);
    }
    this.writeWorkers(out, workers, listening);
    this.writeProcesses(out, workers);
    this.targets.write(
      out,
      workers.map(({ last }) => last.targets),
    );
    return out.text;
  }

  close(): void {
    this.main.close();
  }

  private addRequests(flat: WorkerReport['requests']): void {
    const width = STATUS_CLASSES.length + 1;
    for (let at = 0; at < flat.length; at += width) {
      const api = flat[at] as string;
      let classes = this.requests.get(api);
      if (!classes) this.requests.set(api, (classes = STATUS_CLASSES.map(() => 0)));
      for (let i = 0; i < classes.length; i++) classes[i] = (classes[i] ?? 0) + (flat[at + 1 + i] as number);
    }
  }

  private async writeRequests(out: Exposition): Promise<void> {
    const name = 'heliograph_gateway_requests_total';
    const help = 'Requests by API and class of the status; "aborted" for those that the client broke off.';
    out.family(name, 'counter', help);
    let lines = 0;
    for (const [api, classes] of this.requests) {
      for (const [i, status] of STATUS_CLASSES.entries()) {
        const count = classes[i] ?? 0;
        if (count === 0) continue;
        out.sample(name, count, { api, status });
        lines += 1;
        if (lines % LINES_AT_ONCE === 0) await turn();
      }
    }
  }

  private writeWorkers(out: Exposition, workers: Worker[], listening: number): void {
    out.single('heliograph_gateway_workers', 'gauge', 'Workers that take connections.', listening);
    const deaths = 'Workers that ended without having been told to; each is replaced.';
    out.single('heliograph_gateway_worker_deaths_total', 'counter', deaths, this.deaths);
    const ofWorkers = (name: string, help: string, value: (worker: Worker) => number): void => {
      out.family(name, 'gauge', help);
      for (const worker of workers) out.sample(name, value(worker), { process: nameOf(worker) });
    };
    ofWorkers('heliograph_gateway_revision', 'Revision that a worker has loaded.', ({ last }) => last.revision);
    const silence = 'Since a worker last told its numbers; it does so every few seconds.';
    const now = this.now();
    ofWorkers('heliograph_gateway_worker_silence_seconds', silence, ({ toldAt }) => (now - toldAt) / 1000);
  }

  private writeProcesses(out: Exposition, workers: Worker[]): void {
    const processes: [string, ProcessReport][] = [
      ['main', this.main.take()],
      ...workers.map((worker): [string, ProcessReport] => [nameOf(worker), worker.last.process]),
    ];
    for (const [key, [name, help]] of Object.entries(PROCESS_GAUGES)) {
      out.family(name, 'gauge', help);
      for (const [process, { gauges }] of processes) out.sample(name, gauges[key as ProcessGaugeKey], { process });
    }
    out.family('heliograph_process_cpu_seconds_total', 'counter', 'Time on a processor, user and system.');
    for (const [process, { cpuSeconds }] of processes)
      out.sample('heliograph_process_cpu_seconds_total', cpuSeconds, { process });
  }

  private freePlace(): number {
    const taken = new Set([...this.workers.values()].map(({ place }) => place));
    let place = 1;
    while (taken.has(place)) place += 1;
    return place;
  }
}

function nameOf({ place }: Worker): string {
  return `worker-${place}`;
}

const NOTHING: HistogramReport = { counts: [...BUCKETS, 0].map(() => 0), sum: 0 };
