const HALF_MS = 5000;

/** The share of requests that failed lately: of the current five seconds and the five before them. */
export class FailureRatio {
  private total = 0;
  private failed = 0;
  private totalBefore = 0;
  private failedBefore = 0;
  private since = 0;

  /** @returns the requests of this time, and how many of 100 of them failed */
  note(failed: boolean, now: number): { requests: number; percent: number } {
    if (now - this.since >= HALF_MS) this.turn(now);
    this.total += 1;
    if (failed) this.failed += 1;
    const requests = this.total + this.totalBefore;
    return { requests, percent: ((this.failed + this.failedBefore) * 100) / requests };
  }

  clear(): void {
    this.total = this.failed = this.totalBefore = this.failedBefore = 0;
  }

  private turn(now: number): void {
    const next = now - this.since < 2 * HALF_MS;
    this.totalBefore = next ? this.total : 0;
    this.failedBefore = next ? this.failed : 0;
    this.total = this.failed = 0;
    this.since = now;
  }
}
