const MAX_MS = 300_000;

/**
 * Something that is out of use for a time, and then on trial: one request at a time, until one of them succeeds. Each time
 * that it follows closely on the one before it is twice as long, five minutes at most.
 *
 *   in use ──begin──▶ suspended ──time is over──▶ on trial ──succeeds──▶ in use
 *                        ▲                           │ fails
 *                        └─────────twice as long─────┘
 */
export class Suspension {
  /** monotonic milliseconds; 0: it is in use */
  private until = 0;
  private trying = false;
  private lengthMs = 0;
  private endedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly baseMs: number) {}

  /** Suspended or on trial. */
  get active(): boolean {
    return this.until !== 0;
  }

  /** No request may go there now. */
  blocks(now: number): boolean {
    return this.until !== 0 && (this.trying || now < this.until);
  }

  /** Milliseconds until a trial may begin; 0: now, or one is under way. */
  leftMs(now: number): number {
    return Math.max(0, this.until - now);
  }

  /** @returns whether the request that goes there now is the trial */
  admit(now: number): boolean {
    if (this.until === 0 || this.blocks(now)) return false;
    this.trying = true;
    return true;
  }

  begin(now: number): void {
    const soon = this.until !== 0 || now - this.endedAt < this.lengthMs;
    this.lengthMs = soon ? Math.min(this.lengthMs * 2, MAX_MS) : this.baseMs;
    this.until = now + this.lengthMs;
    this.trying = false;
  }

  end(now: number): void {
    this.until = 0;
    this.trying = false;
    this.endedAt = now;
  }

  /** The trial found out nothing; the next request is one. */
  abandon(): void {
    this.trying = false;
  }
}
