import { BOUNDS } from './bounds.js';

/** The one timer of all connections of a port, and the time as it last was looked at. */
export class SweepClock {
  /** monotonic milliseconds */
  sweptAt = 0;
  /** `Date: ...` with its line end */
  dateLine = '';
  private dateSecond = 0;
  private timer: NodeJS.Timeout | null = null;

  /** @param now monotonic milliseconds @param wallMs milliseconds since 1970 */
  constructor(
    private readonly now: () => number,
    private readonly wallMs: () => number,
  ) {
    this.tick();
  }

  /** @param sweep is called from now on, as often as time limits are exact */
  start(sweep: () => void): void {
    // What came while the process was busy is read first: it would else be told that it came too late.
    this.timer = setInterval(() => {
      this.tick();
      setImmediate(sweep);
    }, BOUNDS.sweepMs);
  }

  tick(): void {
    this.sweptAt = this.now();
    const second = Math.floor(this.wallMs() / 1000);
    if (second === this.dateSecond) return;
    this.dateSecond = second;
    this.dateLine = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
  }
}
