import { HelioError } from '#model';
import type { Logger } from '#platform';
import type { Caller } from '../http/request.js';
import type { Job } from '../jobs/job-store.js';
import type { Jobs } from '../jobs/jobs.js';
import type { Writes } from '../writes/writes.js';
import { observe, type ObserveSources } from './observe.js';
import { logPromotion } from './promotion-log.js';
import { jobOf, movePromotion } from './promotion-move.js';
import { lockPromotion, type PromotionRow, readPromotion } from './promotion-row.js';
import { viewOf } from './promotion-view.js';

/** While another master has taken over nothing is written; an operator may decide for this one. */
const FENCED_MS = 10_000;

/** What promotions do by themselves: one transition at a time, each by a job of its own. */
export class PromotionWork {
  constructor(
    private readonly sources: ObserveSources,
    private readonly writes: Writes,
    private readonly jobs: Jobs,
    private readonly log: Logger,
  ) {}

  /** @returns see `JobHandler`. Of a step that is over nothing is left to do */
  async run({ id, subject }: Job): Promise<number | null> {
    const row = await readPromotion(this.sources.query, subject);
    if (!row || jobOf(row) !== id) return null;
    const seen = await observe(this.sources, row);
    if (!seen) return null;
    if ('waitMs' in seen) return seen.waitMs;
    try {
      const moved = await this.move(id, subject);
      if (!moved) return 0;
      void this.jobs.wake(jobOf(moved));
      logPromotion(this.log, viewOf(moved, null));
      return null;
    } catch (error) {
      if (error instanceof HelioError && error.code === 'fenced_off') return FENCED_MS;
      throw error;
    }
  }

  /** Looks again under the lock: what was seen before it may hold no more. @returns null: there is nothing to do yet, or any more */
  private async move(id: string, subject: string): Promise<PromotionRow | null> {
    const { answer } = await this.writes.commit(callerOf(id, subject), async (tx) => {
      const row = await lockPromotion(tx.manager, subject);
      const seen = jobOf(row) === id ? await observe(this.sources, row) : null;
      const moved = seen && 'input' in seen ? await movePromotion(tx, row, seen.input, seen.because) : null;
      return { status: 200, body: moved };
    });
    return answer.body ?? null;
  }
}

function callerOf(job: string, promotion: string): Caller {
  return { actor: `promotion/${promotion}`, role: 'system', requestId: job, idempotency: null, ifMatch: null };
}
