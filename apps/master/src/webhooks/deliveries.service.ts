import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { EventOrder } from '../events/event-order.js';
import type { InputOf } from '../http/endpoint.js';
import { decodeCursor, type Page, toPage } from '../http/paging.js';
import { type Answer, type Caller, ok } from '../http/request.js';
import { Writes } from '../writes/writes.js';
import { DELIVERIES, type DeliveryRow, deliveryViewOf, oneWebhook } from './webhook-rows.js';
import { WebhookSender } from './webhook-sender.js';
import type { DeliveryView, listDeliveries } from './webhooks.endpoints.js';

/** What came of events that were sent, and what people have sent again. */
@Injectable()
export class DeliveriesService {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
    private readonly order: EventOrder,
    private readonly sender: WebhookSender,
  ) {}

  async list(webhook: string, query: InputOf<typeof listDeliveries>['query']): Promise<Answer<Page<DeliveryView>>> {
    const { manager } = this.source;
    await oneWebhook(manager, webhook);
    const rows: DeliveryRow[] = await manager.query(
      `${DELIVERIES} WHERE d.webhook_id = $1 AND ($2::text IS NULL OR d.state = $2) AND ($3::uuid IS NULL OR d.event_id = $3)
         AND ($4::text IS NULL OR d.subject = $4) AND ($5::bigint IS NULL OR d.position < $5) ORDER BY d.position DESC LIMIT $6`,
      [
        webhook,
        query.state ?? null,
        query.event ?? null,
        query.subject ?? null,
        decodeCursor(query.cursor, 1, [/^\d{1,18}$/])?.[0] ?? null,
        query.limit + 1,
      ],
    );
    return ok(toPage(rows, query.limit, ({ position }) => [position], deliveryViewOf));
  }

  /** An event for this webhook alone. */
  async test(caller: Caller, webhook: string): Promise<Answer<{ event: string }>> {
    const subject = `webhook/${webhook}`;
    const answer = await this.writes.run(caller, async (tx) => {
      const { enabled } = await oneWebhook(tx.manager, webhook, true);
      if (!enabled) throw fail('conflict', `the webhook ${webhook} is disabled; enable it first`);
      const [event]: { id: string }[] = await tx.manager.query(
        `INSERT INTO event (type, subject, actor, data) VALUES ('webhook.test', $1, $2, '{}') RETURNING id`,
        [subject, caller.actor],
      );
      if (!event) throw new Error('an event was inserted, and is not there');
      // whoever asks has just seen to the endpoint: neither its pause nor an earlier test is waited for
      await again(tx.manager, webhook, `state = 'waiting' AND subject = $2`, [subject]);
      tx.audit({ action: 'webhook.test', target: `webhook/${webhook}`, after: { event: event.id } });
      return { status: 202, body: { event: event.id } };
    });
    this.order.ring();
    return answer;
  }

  async replay(caller: Caller, webhook: string, delivery: string): Promise<Answer<DeliveryView>> {
    const answer = await this.writes.run(caller, async (tx) => {
      await oneWebhook(tx.manager, webhook, true);
      const [before]: DeliveryRow[] = await tx.manager.query(`${DELIVERIES} WHERE d.webhook_id = $1 AND d.id = $2`, [
        webhook,
        delivery,
      ]);
      if (!before) throw fail('not_found', `the webhook ${webhook} has no delivery ${delivery}, or not any more`);
      await again(tx.manager, webhook, 'id = $2', [delivery]);
      const [after]: DeliveryRow[] = await tx.manager.query(`${DELIVERIES} WHERE d.id = $1`, [delivery]);
      if (!after) throw new Error(`the delivery ${delivery} is gone while its webhook is locked`);
      const { state, attempts, status, error } = before;
      tx.audit({
        action: 'webhook.replay',
        target: `webhook/${webhook}`,
        before: { delivery, state, attempts, status, error },
      });
      return ok(deliveryViewOf(after));
    });
    this.sender.ring();
    return answer;
  }

  async replayDead(caller: Caller, webhook: string): Promise<Answer<{ replayed: number }>> {
    const answer = await this.writes.run(caller, async (tx) => {
      await oneWebhook(tx.manager, webhook, true);
      const replayed = await again(tx.manager, webhook, `state = 'dead'`, []);
      if (replayed > 0) tx.audit({ action: 'webhook.replay', target: `webhook/${webhook}`, after: { replayed } });
      return ok({ replayed });
    });
    this.sender.ring();
    return answer;
  }
}

/** Whoever asks has seen to the endpoint: it is left alone no longer. */
async function again(manager: EntityManager, webhook: string, which: string, values: string[]): Promise<number> {
  await manager.query(`UPDATE webhook SET paused_until = '-infinity' WHERE id = $1`, [webhook]);
  const [, count]: [unknown, number] = await manager.query(
    `UPDATE webhook_delivery SET state = 'waiting', attempts = 0, next_at = now() WHERE webhook_id = $1 AND ${which}`,
    [webhook, ...values],
  );
  return count;
}
