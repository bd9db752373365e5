import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, freePorts, type Master, type RedisService, startRedis, until } from '#harness';
import { type Received, verified, WebhookReceiver } from '../../apps/master/src/testing/webhook-receiver.js';
import { PromotionRig } from './promotion-rig.js';

const APIS = Array.from({ length: 6 }, (_, n) => `api-${n}`);
const STEPS = ['approved', 'rolling', 'soaking', 'rolling', 'soaking', 'completed'].map(
  (state) => `promotion.${state}`,
);

describeWith('redis', 'a webhook of masters that are killed', () => {
  let redis: RedisService;
  let rig: PromotionRig;
  let receiver: WebhookReceiver;
  let second: Master | undefined;
  beforeAll(async () => {
    redis = await startRedis();
    receiver = await WebhookReceiver.start();
    rig = await PromotionRig.start([...APIS, 'alone'], { REDIS_URL: redis.url, HELIO_WEBHOOK_NETWORKS: '127.0.0.0/8' });
  });
  afterAll(async () => {
    await second?.stop();
    await rig?.stop();
    receiver?.close();
    await redis?.stop();
  });

  const create = async (path: string): Promise<{ id: string; secret: string }> => {
    const answer = await rig.master.client.post('/v1/webhooks', { url: receiver.url + path, types: ['promotion.*'] });
    return answer.body;
  };
  const waiting = async (id: string): Promise<number> =>
    (await rig.pool.query(`SELECT FROM webhook_delivery WHERE webhook_id = $1 AND state <> 'delivered'`, [id]))
      .rowCount ?? 0;

  it('is sent again what it was being sent when its master died', async () => {
    const { id, secret } = await create('/killed');
    let answers = false;
    receiver.answer = (_, response) => void (answers && response.writeHead(204).end());
    const promotion = await rig.promote('alone');
    const [cut] = await receiver.count('/killed', 1);
    await rig.killMaster();
    answers = true;
    await rig.restartMaster();
    await rig.is(promotion, 'completed');
    await until(async () => (await waiting(id)) === 0, { what: 'all of it', within: 60_000 });
    const received = receiver.at('/killed');
    expect(received[1]?.headers['webhook-id']).toBe(cut?.headers['webhook-id']);
    expect(received.slice(1).map((one) => verified(one, secret).type)).toEqual(STEPS);
    await rig.master.client.delete(`/v1/webhooks/${id}`);
  }, 120_000);

  it('gets each event of each promotion in order, though each fails at first, and masters and Redis are killed', async () => {
    const { id } = await create('/order');
    /** what was answered, in that order */
    const log: { subject: string; event: string; taken: boolean }[] = [];
    const seen = new Set<string>();
    receiver.answer = ({ event }: Received, response) => {
      const taken = seen.has(event.id);
      seen.add(event.id);
      log.push({ subject: event.subject, event: event.id, taken });
      response.writeHead(taken ? 204 : 500).end();
    };
    const hurry = setInterval(() => {
      void rig.pool
        .query(
          `WITH w AS (UPDATE webhook SET paused_until = '-infinity') UPDATE webhook_delivery SET next_at = now() WHERE state = 'waiting'`,
        )
        .catch(() => undefined);
    }, 250);
    try {
      second = await rig.master.beside((await freePorts(1))[0] ?? 0);
      const promotions: string[] = [];
      for (const [n, name] of APIS.entries()) {
        promotions.push(await rig.promote(name));
        if (n === 1) {
          second.kill('SIGKILL');
          await second.exited;
          second = await second.again();
        } else if (n === 3 && redis.pid !== undefined) await redis.kill();
        else if (n === 4) {
          await rig.killMaster();
          await rig.restartMaster();
        }
      }
      for (const promotion of promotions) await rig.is(promotion, 'completed', 120_000);
      await until(async () => (await rig.pool.query('SELECT FROM event WHERE position IS NULL')).rowCount === 0, {
        what: 'the order',
      });
      await until(async () => (await waiting(id)) === 0, { what: 'all of it', within: 120_000 });
      for (const promotion of promotions) {
        const { rows } = await rig.pool.query('SELECT id FROM event WHERE subject = $1 ORDER BY written', [
          `promotion/${promotion}`,
        ]);
        const own = log.filter(({ subject }) => subject === `promotion/${promotion}`);
        // each event was asked for only after the one before it was taken
        let at = 0;
        for (const [n, { event }] of own.entries()) {
          const before = own.slice(0, n);
          if (event === rows[at + 1]?.id && before.some((one) => one.event === rows[at]?.id && one.taken)) at++;
          expect(event).toBe(rows[at]?.id);
        }
        expect([rows.length, at]).toEqual([STEPS.length, STEPS.length - 1]);
      }
    } finally {
      clearInterval(hurry);
    }
  }, 300_000);
});
