import { BUCKETS, type HistogramReport } from './metric-families.js';

/** A histogram without labels that costs a few nanoseconds a value. */
export class LatencyHistogram {
  /** one more than there are bounds: what is above the last one */
  private readonly counts = new Float64Array(BUCKETS.length + 1);
  private sum = 0;
  private isNew = false;

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > (BUCKETS[bucket] as number)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.sum += seconds;
    this.isNew = true;
  }

  /** What came since it was last taken; null: nothing. */
  take(): HistogramReport | null {
    if (!this.isNew) return null;
    const report = { counts: [...this.counts], sum: this.sum };
    this.counts.fill(0);
    this.sum = 0;
    this.isNew = false;
    return report;
  }
}
