import { MOST_RELEASE_COUNTS, type ReleaseCount, type ReleaseNumbersReport } from '#model';
import { newReleaseCount } from './release-tally.js';

/** What all workers have counted of each release since this process began. */
export class ReleaseBook {
  private readonly sums = new Map<string, ReleaseCount>();
  /** releases that were asked for since they were last told of; of those that did not fit the first come first */
  private readonly untold = new Set<string>();

  /** @param boot tells this process from the one before: its numbers begin at 0 */
  constructor(private readonly boot: string) {}

  add(counts: readonly ReleaseCount[]): void {
    for (const { api, release, requests, errors, latency } of counts) {
      const sum = this.sums.get(release) ?? newReleaseCount(api, release);
      this.sums.set(release, {
        ...sum,
        requests: sum.requests + requests,
        errors: sum.errors + errors,
        latency: sum.latency.map((count, i) => count + (latency[i] ?? 0)),
      });
      this.untold.add(release);
    }
  }

  /** Undefined: there is nothing to tell. */
  report(): ReleaseNumbersReport | undefined {
    if (this.untold.size === 0) return undefined;
    const told = [...this.untold].slice(0, MOST_RELEASE_COUNTS);
    for (const release of told) this.untold.delete(release);
    return { boot: this.boot, counts: told.flatMap((release) => this.sums.get(release) ?? []) };
  }
}
