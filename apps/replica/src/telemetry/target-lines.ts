import type { TargetReport } from '../gateway/upstream/target-report.js';
import type { Exposition } from './exposition.js';

/** What all workers together know of a target. */
type Sum = Omit<TargetReport, 'api' | 'target' | 'breaker'> & { open: boolean };

/** How long a target is counted that no worker tells of: longer than workers take to be replaced, and to be asked. */
const KEPT_MS = 600_000;

/** Health of upstreams, of the targets that workers have told of last; failures, of those that they told of lately. */
export class TargetLines {
  /** API and target -> failures, and when they were told of last */
  private readonly failures = new Map<string, { count: number; toldAt: number }>();

  /** @param now monotonic milliseconds */
  constructor(private readonly now: () => number) {}

  /** A worker has told. */
  add(reports: readonly TargetReport[]): void {
    for (const report of reports) {
      const key = keyOf(report);
      this.failures.set(key, { count: (this.failures.get(key)?.count ?? 0) + report.failures, toldAt: this.now() });
    }
  }

  /** @param told the last report of each worker */
  write(out: Exposition, told: Iterable<readonly TargetReport[]>): void {
    const sums = addUp(told);
    const family = (name: string, help: string, value: (sum: Sum) => number) => {
      out.family(name, 'gauge', help);
      for (const [key, sum] of sums) out.sample(name, value(sum), labelsOf(key));
    };
    const is = (yes: boolean): number => (yes ? 1 : 0);
    const down =
      'Whether every worker has a target for healthy: not failed by checks, not ejected, its breaker closed.';
    family('heliograph_upstream_healthy', down, ({ healthy }) => is(healthy));
    const open = 'Whether the circuit breaker of some worker is open or half-open.';
    family('heliograph_upstream_breaker_open', open, (sum) => is(sum.open));
    const failed = 'Attempts at a target without an answer, or with one of 5xx.';
    out.family('heliograph_upstream_failures_total', 'counter', failed);
    for (const [key, { count, toldAt }] of this.failures)
      if (toldAt < this.now() - KEPT_MS) this.failures.delete(key);
      else out.sample('heliograph_upstream_failures_total', count, labelsOf(key));
    const busy = 'Requests that a target has, or that wait for a connection to it.';
    family('heliograph_upstream_in_flight', busy, ({ outstanding }) => outstanding);
    const connections = 'Connections to a target, WebSocket not counted.';
    family('heliograph_upstream_connections', connections, (sum) => sum.connections);
  }
}

function addUp(told: Iterable<readonly TargetReport[]>): Map<string, Sum> {
  const sums = new Map<string, Sum>();
  for (const reports of told) {
    for (const report of reports) {
      const key = keyOf(report);
      const sum = sums.get(key) ?? { healthy: true, open: false, failures: 0, outstanding: 0, connections: 0 };
      sums.set(key, sum);
      sum.healthy &&= report.healthy;
      sum.open ||= report.breaker !== 'closed';
      sum.outstanding += report.outstanding;
      sum.connections += report.connections;
    }
  }
  return sums;
}

function labelsOf(key: string): { api: string; target: string } {
  const [api = '', target = ''] = key.split(' ');
  return { api, target };
}

/** Neither has a space in it. */
function keyOf({ api, target }: TargetReport): string {
  return `${api} ${target}`;
}
