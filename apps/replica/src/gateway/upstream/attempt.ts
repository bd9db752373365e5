import type { Place } from './place.js';
import type { AttemptEnd } from './target-health.js';
import type { TargetPool } from './target-pool.js';
import type { TargetPools } from './target-pools.js';
import type { UpstreamUser } from './upstream-connection.js';

/** One attempt after the other to have a request answered by a target, and what each tells of it. */
export class Attempt {
  private place: Place | null = null;
  private trials = 0;
  private told = false;
  pool: TargetPool | null = null;

  constructor(private readonly pools: TargetPools) {}

  begin(place: Place, user: UpstreamUser): void {
    this.trials = this.pools.acquire(place);
    this.place = place;
    this.told = false;
    this.pool = place.pool;
    this.pool.request(user);
  }

  /** What came of it. Of a good answer that broke off later both are told. @param reason of a failure, for the log */
  tell(end: AttemptEnd, reason: string | null): void {
    const { place } = this;
    if (!place || (this.told && end !== 'failed')) return;
    const trials = this.told ? 0 : this.trials;
    this.told = true;
    this.pools.note(place, trials, end, reason);
  }

  /** It is over. @param end if nothing was told */
  end(end: AttemptEnd, reason: string | null): void {
    const { pool } = this;
    this.tell(end, reason);
    this.place = this.pool = null;
    if (pool) this.pools.release(pool);
  }
}
