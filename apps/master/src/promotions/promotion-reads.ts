import { Inject, Injectable } from '@nestjs/common';
import { fail } from '#model';
import { decodeCursor, AGE_AND_ID, type Page, type PageRequest, toPage } from '../http/paging.js';
import { type Answer, ok } from '../http/request.js';
import { observe, type ObserveSources } from './observe.js';
import { isOpen, PROMOTION_STATES } from './promotion-machine.js';
import { jobOf } from './promotion-move.js';
import { PROMOTION, type PromotionRow, readPromotion } from './promotion-row.js';
import { PromotionWatch } from './promotion-watch.js';
import { viewOf } from './promotion-view.js';
import type { PromotionView } from './promotions.endpoints.js';

/** Of a list only the newest open ones: each is a look at numbers of the regions. */
const MOST_LOOKED_AT = 20;
const OPEN = PROMOTION_STATES.filter(isOpen);

export const OBSERVE_SOURCES = Symbol('ObserveSources');

@Injectable()
export class PromotionReads {
  constructor(
    @Inject(OBSERVE_SOURCES) private readonly sources: ObserveSources,
    @Inject(PromotionWatch) private readonly watch: PromotionWatch,
  ) {}

  async get(id: string): Promise<Answer<PromotionView>> {
    const row = await this.row(id);
    return ok(viewOf(row, await this.detailOf(row)), String(row.step));
  }

  private async detailOf(row: PromotionRow): Promise<string | null> {
    const seen = await observe(this.sources, row);
    return (await this.failedJob(row)) ?? (seen && 'detail' in seen ? seen.detail : null);
  }

  async list({
    limit,
    cursor,
    environment,
    api,
    state,
  }: PageRequest & { environment?: string; api?: string; state?: string }): Promise<Answer<Page<PromotionView>>> {
    const after = decodeCursor(cursor, 2, AGE_AND_ID);
    const rows = await this.sources.query<PromotionRow & { age: string }>(
      `${PROMOTION} WHERE ($1::text IS NULL OR p.environment_id = $1) AND ($2::text[] IS NULL OR p.state = ANY($2))
         AND ($3::text IS NULL OR EXISTS (SELECT FROM promotion_release r WHERE r.promotion_id = p.id AND r.api_id = $3))
         AND ($4::timestamptz IS NULL OR (p.created_at, p.id) < ($4, $5::uuid))
       ORDER BY p.created_at DESC, p.id DESC LIMIT $6`,
      [
        environment ?? null,
        state === 'open' ? OPEN : state === undefined ? null : [state],
        api ?? null,
        after?.[0] ?? null,
        after?.[1] ?? null,
        limit + 1,
      ],
    );
    const details = new Map<string, string | null>();
    for (const row of rows.filter(({ state: now }) => isOpen(now)).slice(0, MOST_LOOKED_AT))
      details.set(row.id, await this.detailOf(row));
    return ok(
      toPage(
        rows,
        limit,
        ({ age, id }) => [age, id],
        (row) => viewOf(row, details.get(row.id) ?? null),
      ),
    );
  }

  /** Answers when the promotion has ended, or the time is over. @param until milliseconds since 1970 */
  async ended(answer: Answer<PromotionView>, until: number): Promise<Answer<PromotionView>> {
    const id = answer.body?.id ?? '';
    for (;;) {
      const { state, step } = await this.row(id);
      const leftMs = until - Date.now();
      if (!isOpen(state) || leftMs <= 0) {
        const { body, etag } = await this.get(id);
        return { ...answer, body, etag, status: isOpen(state) ? 202 : answer.status };
      }
      await this.watch.next(id, step, leftMs);
    }
  }

  /** What it waits for, and will wait for ever: nobody goes on with it. */
  private async failedJob(row: PromotionRow): Promise<string | null> {
    const [job] = await this.sources.query<{ id: string; error: string | null }>(
      `SELECT id, error FROM job WHERE id = $1 AND state = 'failed'`,
      [jobOf(row)],
    );
    return job ? `somebody who retries its job ${job.id}, which has failed: ${job.error}` : null;
  }

  async row(id: string): Promise<PromotionRow> {
    const row = await readPromotion(this.sources.query, id);
    if (!row) throw fail('not_found', `there is no promotion ${id}`);
    return row;
  }
}
