/** Requests that were sent twice, as a share of all. */
const SHARE = 0.2;
/** So many may be sent twice before any share counts: a few broken connections are no outage. */
const RESERVE = 10;

/** How many requests of an API may still be sent a second time: an upstream that breaks all of them gets a fifth more, not twice as many. */
export class RetryBudget {
  private left = RESERVE;

  /** A request comes. */
  earn(): void {
    if (this.left < RESERVE) this.left += SHARE;
  }

  /** @returns whether one more may be sent again */
  spend(): boolean {
    if (this.left < 1) return false;
    // what it earns again when a target is chosen for it is no other request's
    this.left -= 1 + SHARE;
    return true;
  }
}
