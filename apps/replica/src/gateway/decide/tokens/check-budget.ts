const WINDOW_MS = 1000;
/** Microseconds of verifying in a window. Beyond the first, those who sent a token that failed wait; beyond the second, all do. */
const FREE = 250_000;
const MOST = 500_000;

/**
 * Bounds what tokens that were never seen before may cost a worker. Whoever sends one forged token after the other takes a quarter of
 * its time at most, and leaves as much for those whose tokens are good.
 */
export class CheckBudget {
  private since = 0;
  private spent = 0;
  /** addresses that sent a token in this window whose signature was wrong */
  private readonly failed = new Set<string>();

  /** @param cost microseconds @param now milliseconds; may jump */
  allows(address: string, cost: number, now: number): boolean {
    if (now < this.since || now >= this.since + WINDOW_MS) {
      this.since = now;
      this.spent = 0;
      this.failed.clear();
    }
    if (this.spent >= MOST || (this.spent >= FREE && this.failed.has(address))) return false;
    this.spent += cost;
    return true;
  }

  fail(address: string): void {
    this.failed.add(address);
  }
}
