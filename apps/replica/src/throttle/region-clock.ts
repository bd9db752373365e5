import { type Clock, systemClock } from '#throttle';

/**
 * The time of the region's Redis, also while it is gone: windows then begin and end as they do there, whatever this
 * machine's clock says. Until Redis has told it, this machine's.
 */
export class RegionClock implements Clock {
  /** what Redis' time is ahead of this process's */
  private aheadMs: number | null = null;
  /** rates follow a time that never goes back; both are told apart by a fixed distance */
  private readonly started: number;

  constructor(private readonly system: Clock = systemClock) {
    this.started = system.wallMs() - system.monotonicMs();
  }

  readonly wallMs = (): number =>
    this.aheadMs === null ? this.system.wallMs() : Math.floor(this.system.monotonicMs() + this.aheadMs);
  readonly monotonicMs = (): number => this.system.monotonicMs() + (this.aheadMs ?? this.started);

  /** @param micros as Redis told it just now */
  follow(micros: number): void {
    this.aheadMs = micros / 1000 - this.system.monotonicMs();
  }
}
