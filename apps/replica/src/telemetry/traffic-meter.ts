import type { ReplicaStatus } from '#model';
import { STATUS_CLASSES, type WorkerReport } from '../gateway/engine/metric-families.js';

type Traffic = NonNullable<ReplicaStatus['traffic']>;

/** Long enough that workers which tell every 5 s do not make it jump, short enough to be of now. */
const WINDOW_MS = 30_000;
const WIDTH = STATUS_CLASSES.length + 1;
const ERRORS_AT = 1 + STATUS_CLASSES.indexOf('5xx');

/** How much a replica answers now: requests of all workers in the last half minute. */
export class TrafficMeter {
  private readonly begunAt: number;
  private told: { at: number; requests: number; errors: number }[] = [];

  /** @param now monotonic milliseconds */
  constructor(private readonly now: () => number) {
    this.begunAt = now();
  }

  /** What a worker has counted since it last told. */
  add(flat: WorkerReport['requests']): void {
    const one = { at: this.now(), requests: 0, errors: 0 };
    for (let at = 0; at < flat.length; at += WIDTH) {
      for (let i = 1; i < WIDTH; i++) one.requests += flat[at + i] as number;
      one.errors += flat[at + ERRORS_AT] as number;
    }
    if (one.requests > 0) this.told.push(one);
  }

  get rate(): Traffic {
    const now = this.now();
    this.told = this.told.filter(({ at }) => now - at < WINDOW_MS);
    const seconds = Math.max(1, Math.min(WINDOW_MS, now - this.begunAt) / 1000);
    const perSecond = (count: number): number => Math.round((count / seconds) * 10) / 10;
    return {
      requestsPerSecond: perSecond(this.told.reduce((sum, { requests }) => sum + requests, 0)),
      errorsPerSecond: perSecond(this.told.reduce((sum, { errors }) => sum + errors, 0)),
    };
  }
}
