import { Counter, Gauge, type Registry } from 'prom-client';
import type { Query } from '../publishing/options.js';
import type { WebhookSender } from './webhook-sender.js';

/** What `/metrics` shows of webhooks: what this process has sent, and what all of them have still to send. */
export function registerWebhookMetrics(registry: Registry, sender: WebhookSender, query: Query): void {
  new Counter({
    name: 'heliograph_webhook_attempts_total',
    help: 'Attempts of this process to deliver an event: delivered, failed, or dead for the last one.',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [result, count] of sender.results) this.inc({ result }, count);
    },
  });
  new Gauge({
    name: 'heliograph_webhook_deliveries',
    help: 'Events that wait to be delivered, or were given up, of all masters.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      this.reset();
      // a database that is away leaves the gauge empty; the scrape itself goes on
      const rows = await query<{ state: string; n: number }>(DELIVERIES).catch(() => []);
      for (const { state, n } of rows) this.set({ state }, n);
    },
  });
}

/** Each is counted in an index of its own: what was delivered is many times as much. */
const DELIVERIES = `
  SELECT 'waiting' AS state, count(*)::int AS n FROM webhook_delivery WHERE state = 'waiting'
  UNION ALL SELECT 'dead', count(*)::int FROM webhook_delivery WHERE state = 'dead'`;
