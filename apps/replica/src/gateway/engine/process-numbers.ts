import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { ProcessReport } from './metric-families.js';

const RESOLUTION_MS = 10;

/** What this process costs. */
export class ProcessNumbers {
  private readonly delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.delay.enable();
  }

  /** The delay is that of the time since it was last taken. */
  take(): ProcessReport {
    const { rss, heapUsed, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    // what is measured is the time between two ticks
    const late = this.delay.percentile(99) / 1e9 - RESOLUTION_MS / 1000;
    this.delay.reset();
    return {
      gauges: { residentBytes: rss, heapBytes: heapUsed, externalBytes: external, loopDelay: Math.max(0, late) || 0 },
      cpuSeconds: (user + system) / 1e6,
    };
  }

  close(): void {
    this.delay.disable();
  }
}
