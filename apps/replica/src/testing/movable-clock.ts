import { type Clock, systemClock } from '#throttle';

/** The time of the machine, or one that stands still, and how far a test has moved it on. */
export class MovableClock implements Clock {
  private movedMs = 0;
  private base: Clock = systemClock;

  readonly wallMs = (): number => this.base.wallMs() + this.movedMs;
  readonly monotonicMs = (): number => this.base.monotonicMs() + this.movedMs;

  /** From now on only the test moves it, however long the machine takes. */
  stop(): void {
    const [wall, monotonic] = [systemClock.wallMs(), systemClock.monotonicMs()];
    this.base = { wallMs: () => wall, monotonicMs: () => monotonic };
  }

  /** It goes on by itself again. */
  run(): void {
    this.base = systemClock;
  }

  move(ms: number): void {
    this.movedMs += ms;
  }
}
