import { setImmediate as breathe } from 'node:timers/promises';

/** Longer than this no loop keeps the process from everything else, in milliseconds. */
const SLICE_MS = 5;

/** For long loops: each call either returns at once, or lets others run first. */
export class Pause {
  private since = performance.now();

  constructor(private readonly signal: AbortSignal) {}

  get due(): boolean {
    return performance.now() - this.since > SLICE_MS;
  }

  async take(): Promise<void> {
    await breathe();
    this.signal.throwIfAborted();
    this.since = performance.now();
  }
}
