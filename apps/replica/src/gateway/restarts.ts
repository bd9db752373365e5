import { backoffMs } from '#platform';

/** A worker that ends sooner than this after its start is started again with ever longer pauses. */
const STEADY_MS = 5000;
const BASE_MS = 100;
const MAX_MS = 10_000;

/** When workers that died are started again. */
export class Restarts {
  private readonly timers = new Set<NodeJS.Timeout>();
  private shortLives = 0;

  /** @param restart fills up to as many workers as there are to be */
  constructor(private readonly restart: () => void) {}

  /** Workers that wait for their pause to end. */
  get waiting(): number {
    return this.timers.size;
  }

  /** @param livedMs of the worker that died @returns in how many milliseconds another one is started */
  plan(livedMs: number): number {
    this.shortLives = livedMs < STEADY_MS ? this.shortLives + 1 : 0;
    const pauseMs = this.shortLives === 0 ? 0 : backoffMs(this.shortLives - 1, BASE_MS, MAX_MS, Math.random);
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.restart();
    }, pauseMs);
    this.timers.add(timer);
    return pauseMs;
  }

  stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }
}
