import { deferred } from '#platform';
import { type Slot, tell } from './slot.js';

/** What new workers are given to start. */
const START_MS = 30_000;
/** What requests under way are given when others took over; tunnels and long answers are broken off then. */
const GRACE_MS = 60_000;
/**
 * How long the connections of a retired worker may be idle. Until then their clients are told with the next answer that
 * it is the last one: a client that is sent away without a word may just have sent a request.
 */
const IDLE_MS = 10_000;

/** Waits for new workers to serve, all of them. */
export class Renewal {
  private readonly fresh: ReadonlySet<Slot>;
  private readonly missing: Set<Slot>;
  private readonly outcome = deferred<void>();
  private readonly timer = setTimeout(() => this.fail(new Error(`did not serve within ${START_MS} ms`)), START_MS);

  constructor(slots: readonly Slot[]) {
    this.fresh = new Set(slots);
    this.missing = new Set(slots);
  }

  /** @throws (rejects) what kept one of them from serving */
  get done(): Promise<void> {
    return this.outcome.promise;
  }

  listens(slot: Slot): void {
    this.missing.delete(slot);
    if (this.missing.size > 0) return;
    clearTimeout(this.timer);
    this.outcome.resolve();
  }

  ended(slot: Slot, why: Error): void {
    if (this.fresh.has(slot)) this.fail(why);
  }

  stop(): void {
    this.fail(new Error('the gateway was stopped'));
  }

  private fail(why: Error): void {
    clearTimeout(this.timer);
    this.outcome.reject(why);
  }
}

/** Lets a worker serve what it has, and end. */
export function retire(slot: Slot): void {
  slot.retired = true;
  slot.listening = false;
  if (!slot.serves) {
    slot.process.kill('SIGKILL'); // it may not even hear
    return;
  }
  tell(slot, { type: 'drain', graceMs: GRACE_MS, idleMs: IDLE_MS });
  // its own end of the time comes first; this is for one that does not react
  const insist = setTimeout(() => slot.process.kill('SIGKILL'), GRACE_MS + 500);
  slot.process.once('exit', () => clearTimeout(insist));
}
