import { H2_BOUNDS } from './h2-bounds.js';

/** Of a total that only grows, what counts now: half of it is forgotten now and then. */
class Recent {
  private forgotten = 0;

  of(total: number): number {
    return total - this.forgotten;
  }

  halve(total: number): void {
    this.forgotten += this.of(total) / 2;
  }
}

/** What a client did with its connection so far; all of them totals. */
export interface H2Totals {
  /** streams, and how many of them the client broke off */
  opened: number;
  broken: number;
  /** bytes that came, and bytes that were part of a request or an answer */
  read: number;
  useful: number;
}

/**
 * Tells a flood from a client that has been there for long: what was done minutes ago counts less and less, good and bad
 * alike.
 */
export class H2Conduct {
  private readonly opened = new Recent();
  private readonly broken = new Recent();
  private readonly read = new Recent();
  private readonly useful = new Recent();
  /** monotonic milliseconds */
  private halvedAt: number;

  constructor(now: number) {
    this.halvedAt = now;
  }

  sweep(now: number, totals: H2Totals): void {
    if (now - this.halvedAt < H2_BOUNDS.halvedMs) return;
    this.halvedAt = now;
    this.opened.halve(totals.opened);
    this.broken.halve(totals.broken);
    this.read.halve(totals.read);
    this.useful.halve(totals.useful);
  }

  /** Who opens streams only to break them off makes others work for nothing (CVE-2023-44487). */
  breaksOff({ opened, broken }: H2Totals): boolean {
    const count = this.broken.of(broken);
    return count > H2_BOUNDS.brokenStreams && count * 2 > this.opened.of(opened);
  }

  /** Frames that are part of no request, and many of them: pings, settings, priorities, empty ones. */
  tellsNothing({ read, useful }: H2Totals): boolean {
    return this.read.of(read) > H2_BOUNDS.idleBytes + H2_BOUNDS.overhead * this.useful.of(useful);
  }
}
