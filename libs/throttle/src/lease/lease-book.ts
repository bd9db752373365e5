import type { CounterStore } from '../store/counter-store.js';
import type { Gauge, Lease, Unknown } from './lease.js';
import { LeaseIndex } from './lease-index.js';
import type { Claim, Limits } from './limits.js';

export type Spending =
  /** one token of each limit was spent; where they stand at `now`, milliseconds of the book's clock */
  | { kind: 'spent'; gauges: readonly Gauge[]; now: number }
  /** nothing was spent, because of `by`; `unknown`: it may have tokens, and could not be asked */
  | { kind: 'refused'; gauges: readonly Gauge[]; now: number; by: Gauge; retryMs: number; unknown: Unknown | null }
  /** nothing was spent; `fetch` the missing tokens, then spend again */
  | { kind: 'wait' };

const WAIT: Spending = { kind: 'wait' };

/** A lease that was not renewed for so long is hardly used, and goes back: with the time between two sweeps, within 500 ms. */
const RETURN_MS = 250;

/**
 * The tokens that one process holds. Spending is a decrement and refusing a comparison; the store is asked for a bucket
 * that is not known, for a lease that is spent, once for all requests that wait for it, and ahead of that for one that
 * is being spent: then nobody waits.
 */
export class LeaseBook {
  /** questions to the store so far */
  asked = 0;
  private readonly index: LeaseIndex;
  /** those that hold tokens */
  private readonly holding = new Set<Lease>();
  /** to be asked for at the end of this turn of the event loop */
  private batch: Lease[] = [];

  /** @param now monotonic milliseconds */
  constructor(
    private readonly store: CounterStore,
    private readonly now: () => number,
  ) {
    this.index = new LeaseIndex(now());
  }

  /** Spends one token of each limit, or none of any. */
  spend(limits: Limits, claim: Claim): Spending {
    const now = this.now();
    const gauges = this.index.find(limits, claim, now);
    let lacking = false;
    let by: Lease | null = null;
    for (const lease of gauges) {
      if (lease.has(now)) continue;
      if (now >= lease.emptyUntil) lacking = true;
      // of several that are empty, the one that takes longest
      else if (by === null || lease.retryAt > by.retryAt) by = lease;
    }
    if (by) {
      const retryMs = Math.max(by.retryAt, by.emptyUntil) - now;
      return { kind: 'refused', gauges, now, by, retryMs, unknown: by.unknown };
    }
    if (lacking) return WAIT;
    for (const lease of gauges) if (lease.use(now)) void this.ask(lease);
    return { kind: 'spent', gauges, now };
  }

  /**
   * Resolves when the store has answered, or could not, for every limit whose lease is spent: then it is to be tried
   * again. Never rejects.
   */
  async fetch(limits: Limits, claim: Claim): Promise<void> {
    const now = this.now();
    const asked: Promise<void>[] = [];
    for (const lease of this.index.find(limits, claim, now)) {
      if (lease.has(now) || now < lease.emptyUntil) continue;
      asked.push(this.ask(lease));
      lease.join();
    }
    await Promise.all(asked);
  }

  /** Gives idle leases back, and forgets what nobody used. To be called every 250 ms. */
  sweep(): void {
    const now = this.now();
    for (const lease of this.holding) {
      if (lease.asking !== null) continue;
      if (lease.holds && lease.age(now) < RETURN_MS) continue;
      this.holding.delete(lease);
      this.giveBack(lease);
    }
    this.index.sweep(now);
  }

  /** Gives everything back, before this process ends. */
  close(): void {
    for (const lease of this.holding) this.giveBack(lease);
    this.holding.clear();
  }

  /** Leases in memory. */
  get size(): number {
    return this.index.size;
  }

  private ask(lease: Lease): Promise<void> {
    if (lease.asking) return lease.asking.promise;
    // one question for all requests that this turn of the event loop brings
    if (this.batch.push(lease) === 1) setImmediate(() => void this.send());
    return lease.begin().promise;
  }

  private async send(): Promise<void> {
    const { batch } = this;
    this.batch = [];
    await Promise.all(batch.map((lease) => this.question(lease)));
    // What was waited for is spent by now or, as another limit has refused or a client is gone, not at all.
    setImmediate(() => {
      for (const lease of batch) {
        if (lease.isLeftOver) this.giveBack(lease);
        else if (lease.holds) this.holding.add(lease);
      }
    });
  }

  private async question(lease: Lease): Promise<void> {
    this.asked += 1;
    const wish = lease.wish(this.now());
    try {
      lease.receive(await this.store.take(lease.bucket, wish), wish.need, this.now());
    } catch {
      // whoever implements the store reports why; here it is enough that nothing may be spent
      lease.fail(this.now());
    } finally {
      const { asking } = lease;
      lease.asking = null;
      asking?.resolve();
    }
  }

  private giveBack(lease: Lease): void {
    lease.release((unused, name) => this.store.give(lease.bucket, unused, name));
  }
}
