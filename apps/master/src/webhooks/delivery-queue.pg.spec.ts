import { afterAll, beforeAll, expect, it } from 'vitest';
import { EventOrder } from '../events/event-order.js';
import { until } from '#harness';
import { good } from '../testing/answers.js';
import { type StartedApp, startApp } from '../testing/start-app.js';
import { WebhookSender } from './webhook-sender.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp({ HELIO_WEBHOOK_NETWORKS: '127.0.0.0/8' });
});
afterAll(() => app?.stop());

it('a master that stood still for longer than its lease leaves the webhook to whoever has it since', async () => {
  const sender = app.part(WebhookSender);
  await sender.onModuleDestroy(); // nobody but this test claims
  const { queue } = sender;
  const { id } = await good(app.call('POST', '/v1/webhooks', { url: 'http://127.0.0.1:9/', types: ['chain.*'] }));
  await app.source.query(
    `INSERT INTO event (type, subject, environment_id, actor, data) VALUES ('chain.fork', 'lease/1', NULL, 'test', '{}')`,
  );
  app.part(EventOrder).ring();
  const first = await until(() => queue.claim(), { what: 'something to send' });
  expect(await queue.claim(), 'while the lease holds').toBeNull();
  await app.source.query(`UPDATE webhook SET lease_until = now() WHERE id = $1`, [id]);
  const second = await queue.claim();
  expect(second?.id).toBe(id);

  expect(await queue.release(first, 5, 60_000)).toBe(false);
  expect(await queue.claim(), 'the second lease holds').toBeNull();
  expect(await good(app.call('GET', `/v1/webhooks/${id}`))).toMatchObject({ failures: 0 });

  expect(second && (await queue.release(second, 0, 0))).toBe(true);
  expect((await queue.claim())?.id).toBe(id);
});
