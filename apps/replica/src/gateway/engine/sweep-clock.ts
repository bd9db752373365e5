import { BOUNDS } from './bounds.js';

/** The one timer of all connections of a port, and the time as it last was looked at. */
export class SweepClock {
  /** monotonic milliseconds */
  sweptAt = 0;
  /** `Date: ...` with its line end */
  dateLine = '';
  private dateSecond = 0;
  private timer: NodeJS.Timeout | null = null;
  /** the last look at time limits was left out */
  private spared = false;

  /** @param now monotonic milliseconds @param wallMs milliseconds since 1970 */
  constructor(
    private readonly now: () => number,
    private readonly wallMs: () => number,
  ) {
    this.tick();
  }

  /** @param sweep is called from now on, as often as time limits are exact */
  start(sweep: () => void): void {
    this.timer = setInterval(() => this.onTimer(sweep), BOUNDS.sweepMs);
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

  /**
   * What came while the process was busy is read first: it would else be told that it came too late. And where the
   * process stood still (a machine that is paused, a share of CPU that is used up) nobody is judged before he had one more
   * period, but once in a row, so that a process that is always late still has time limits: a connection that was made
   * meanwhile has not even been asked yet.
   */
  private onTimer(sweep: () => void): void {
    const before = this.sweptAt;
    this.tick();
    this.spared = !this.spared && this.sweptAt - before > 2 * BOUNDS.sweepMs;
    if (!this.spared) setImmediate(sweep);
  }
}
