import type { TargetReport } from '../gateway/upstream/target-report.js';
import type { Exposition } from './exposition.js';

/** What all workers together know of a target. */
type Sum = Omit<TargetReport, 'api' | 'target' | 'breaker'> & { open: boolean };

/** Health of upstreams, of the targets that workers have told of last. */
export class TargetLines {
  /** API and target -> failures; of those that are still told of */
  private failures = new Map<string, number>();

  /** A worker has told. */
  add(reports: readonly TargetReport[]): void {
    for (const report of reports) {
      const key = keyOf(report);
      this.failures.set(key, (this.failures.get(key) ?? 0) + report.failures);
    }
  }

  /** @param told the last report of each worker */
  write(out: Exposition, told: Iterable<readonly TargetReport[]>): void {
    const sums = addUp(told);
    const failures = new Map([...sums.keys()].map((key) => [key, this.failures.get(key) ?? 0]));
    this.failures = failures;
    const family = (
      name: string,
      type: 'gauge' | 'counter',
      help: string,
      value: (sum: Sum, key: string) => number,
    ) => {
      out.family(name, type, help);
      for (const [key, sum] of sums) {
        const [api = '', target = ''] = key.split(' ');
        out.sample(name, value(sum, key), { api, target });
      }
    };
    const is = (yes: boolean): number => (yes ? 1 : 0);
    const down =
      'Whether every worker has a target for healthy: not failed by checks, not ejected, its breaker closed.';
    family('heliograph_upstream_healthy', 'gauge', down, ({ healthy }) => is(healthy));
    const open = 'Whether the circuit breaker of some worker is open or half-open.';
    family('heliograph_upstream_breaker_open', 'gauge', open, (sum) => is(sum.open));
    const failed = 'Attempts at a target without an answer, or with one of 5xx.';
    family('heliograph_upstream_failures_total', 'counter', failed, (_, key) => failures.get(key) ?? 0);
    const busy = 'Requests that a target has, or that wait for a connection to it.';
    family('heliograph_upstream_in_flight', 'gauge', busy, ({ outstanding }) => outstanding);
    const connections = 'Connections to a target, WebSocket not counted.';
    family('heliograph_upstream_connections', 'gauge', connections, (sum) => sum.connections);
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

/** Neither has a space in it. */
function keyOf({ api, target }: TargetReport): string {
  return `${api} ${target}`;
}
