import { Gauge, type Registry } from 'prom-client';
import type { Query } from '../publishing/options.js';

/** What `/metrics` shows of work that goes on by itself. Any master tells of all of it: take the maximum, not the sum. */
export function registerWorkMetrics(registry: Registry, query: Query): void {
  const gauge = (name: string, help: string, labelNames: string[], sql: string): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        this.reset();
        // a database that is away leaves the gauge empty; the scrape itself goes on
        const rows = await query<{ labels: Record<string, string>; n: number }>(sql).catch(() => []);
        for (const { labels, n } of rows) this.set(labels, n);
      },
    });
  };
  gauge(
    'heliograph_jobs',
    'Jobs that wait, run, or have failed for good.',
    ['state'],
    `SELECT json_build_object('state', s.state) AS labels, count(j.id)::int AS n
     FROM unnest(ARRAY['waiting', 'running', 'failed']) AS s(state) LEFT JOIN job j ON j.state = s.state GROUP BY s.state`,
  );
  gauge(
    'heliograph_promotions',
    'Promotions that are open.',
    ['environment', 'state'],
    `SELECT json_build_object('environment', environment_id, 'state', state) AS labels, count(*)::int AS n FROM promotion
     WHERE id IN (SELECT promotion_id FROM promotion_lock) GROUP BY environment_id, state`,
  );
}
