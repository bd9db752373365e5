import { type Clock, systemClock } from '#throttle';

/** The time of the machine, and how far a test has moved it on. */
export class MovableClock implements Clock {
  private movedMs = 0;

  readonly wallMs = (): number => systemClock.wallMs() + this.movedMs;
  readonly monotonicMs = (): number => systemClock.monotonicMs() + this.movedMs;

  move(ms: number): void {
    this.movedMs += ms;
  }
}
