import { sleep } from '#platform';
import type { Query } from '../publishing/options.js';

const LOOK_MS = 250;

interface Reader {
  promotion: string;
  step: number;
  news: AbortController;
}

/** Looks for all who wait for promotions, at all that they wait for, by one query: what it costs does not grow with readers. */
export class PromotionWatch {
  private readonly readers = new Set<Reader>();
  private looking = false;

  constructor(private readonly query: Query) {}

  /**
   * Waits until the promotion has made more than `step` transitions, the time is over or the signal fires. It may end without
   * either: when the database does not answer, whoever waits finds out by asking.
   */
  async next(promotion: string, step: number, withinMs: number, signal?: AbortSignal): Promise<void> {
    const news = new AbortController();
    const reader = { promotion, step, news };
    const gone = (): void => news.abort();
    signal?.addEventListener('abort', gone, { once: true });
    this.readers.add(reader);
    void this.look();
    if (!signal?.aborted) await sleep(withinMs, news.signal);
    signal?.removeEventListener('abort', gone);
    this.readers.delete(reader);
  }

  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    while (this.readers.size > 0) {
      await sleep(LOOK_MS);
      const promotions = [...new Set([...this.readers].map(({ promotion }) => promotion))];
      const rows = await this.query<{ id: string; step: number }>(
        'SELECT id, step FROM promotion WHERE id = ANY($1::uuid[])',
        [promotions],
      ).catch(() => null);
      const steps = new Map(rows?.map(({ id, step }) => [id, step]));
      for (const { promotion, step, news } of this.readers)
        if (rows === null || (steps.get(promotion) ?? 0) > step) news.abort();
    }
    this.looking = false;
  }
}
