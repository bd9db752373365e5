import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { fail } from '#model';
import type { Query } from '../publishing/options.js';
import { isOpen, PROMOTION_STATES, type PromotionState } from './promotion-machine.js';
import type { PromotionWatch } from './promotion-watch.js';

interface EventRow {
  id: string;
  type: string;
  actor: string;
  at: Date;
  data: object;
}

/** Proxies close a connection on which nothing comes; 60 s is usual. */
const COMMENT_MS = 15_000;
/** A reader who takes nothing for so long has gone. */
const STUCK_MS = 60_000;
const AT_ONCE = 100;

/** One reader of one promotion's events. It is sent what it takes: a slow one is waited for, and holds nothing. */
export class EventStream {
  private readonly gone = new AbortController();

  constructor(
    private readonly query: Query,
    private readonly watch: PromotionWatch,
    private readonly response: ServerResponse,
  ) {
    response.on('close', () => this.gone.abort());
  }

  /** Parts with the reader, who comes back with `Last-Event-ID`. */
  stop(): void {
    this.gone.abort();
  }

  /**
   * Sends events until the promotion has ended, the reader has gone or `stop` is called. A database that does not answer ends it,
   * too: the reader comes back.
   *
   * @param after id of the event that the reader had last; 0: none
   */
  async run(promotion: string, after: string): Promise<void> {
    const { signal } = this.gone;
    let last = after;
    try {
      await this.write('retry: 2000\n\n');
      while (!signal.aborted) {
        const phase = await this.phase(promotion);
        const sent = await this.send(promotion, last);
        last = sent ?? last;
        // the end is an event, written in the transaction that ended it; it was read after that
        if (!isOpen(phase.state)) break;
        if (sent === null) await this.write(': still open\n\n');
        await this.watch.next(promotion, phase.step, COMMENT_MS, signal);
      }
    } finally {
      this.response.end();
    }
  }

  /** @returns the id of the last one; null: there was none */
  private async send(promotion: string, after: string): Promise<string | null> {
    let last: string | null = null;
    for (;;) {
      const rows: EventRow[] = await this.query(EVENTS, [promotion, last ?? after, AT_ONCE]);
      for (const row of rows) await this.write(textOf(row));
      last = rows.at(-1)?.id ?? last;
      if (rows.length < AT_ONCE) return last;
    }
  }

  private async phase(promotion: string): Promise<{ state: PromotionState; step: number }> {
    const [row] = await this.query<{ state: PromotionState; step: number }>(
      'SELECT state, step FROM promotion WHERE id = $1',
      [promotion],
    );
    if (!row) throw fail('not_found', `there is no promotion ${promotion}`);
    return row;
  }

  private async write(text: string): Promise<void> {
    const { signal } = this.gone;
    if (signal.aborted || this.response.write(text)) return;
    const stuck = setTimeout(() => this.response.destroy(), STUCK_MS);
    await once(this.response, 'drain', { signal }).catch(() => undefined); // it has gone
    clearTimeout(stuck);
  }
}

/** Whether the promotion has ended, and had no event after this one. */
export async function nothingAfter(query: Query, promotion: string, event: string): Promise<boolean> {
  const [row] = await query<{ ended: boolean }>(
    `SELECT NOT p.state = ANY($3::text[]) AND NOT EXISTS (SELECT FROM event e WHERE e.subject = 'promotion/' || p.id AND e.written > $2) AS ended
     FROM promotion p WHERE p.id = $1`,
    [promotion, event, PROMOTION_STATES.filter(isOpen)],
  );
  return row?.ended !== false;
}

function textOf({ id, type, actor, at, data }: EventRow): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ at: at.toISOString(), actor, state: type, ...data })}\n\n`;
}

const EVENTS = `
  SELECT written AS id, split_part(type, '.', 2) AS type, actor, at, data FROM event
  WHERE subject = 'promotion/' || $1::uuid AND written > $2 ORDER BY written LIMIT $3`;
