import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, freePorts, type Master, type RedisService, startRedis, until } from '#harness';
import { PromotionRig } from './promotion-rig.js';

const APIS = Array.from({ length: 10 }, (_, n) => `api-${n}`);
const EVENTS = [
  'approved create 0',
  'rolling start 1',
  'soaking acknowledged 1',
  'rolling passed 2',
  'soaking acknowledged 2',
  'completed passed 2',
];

describeWith('redis', 'two masters and their Redis, killed at random under ten promotions', () => {
  let redis: RedisService;
  let rig: PromotionRig;
  let second: Master;
  beforeAll(async () => {
    redis = await startRedis();
    rig = await PromotionRig.start(APIS, { REDIS_URL: redis.url });
    second = await rig.master.beside((await freePorts(1))[0] ?? 0);
  });
  afterAll(async () => {
    await second?.stop();
    await rig?.stop();
    await redis?.stop();
  });

  it('P1 bring each to its end, and each region gets each placement once', async () => {
    const ids: string[] = [];
    for (const [n, name] of APIS.entries()) {
      ids.push(await rig.promote(name, 1));
      await new Promise((resolve) => setTimeout(resolve, 300 * Math.random()));
      if (n === 2 || n === 7) {
        await rig.killMaster();
        await rig.restartMaster();
      } else if (n === 4) {
        second.kill('SIGKILL');
        await second.exited;
        second = await second.again();
      } else if (n === 5 && redis.pid !== undefined) await redis.kill();
    }
    for (const id of ids) await rig.is(id, 'completed', 120_000);
    for (const id of ids) {
      const { events, placed } = await rig.end(id);
      expect(events).toEqual(EVENTS);
      expect([placed.length, placed.every((place) => place.endsWith(' 1'))]).toEqual([3, true]);
    }
    for (const name of APIS)
      expect(new Set((await rig.placements(name)).map((place) => place.split(' ')[1]))).toEqual(
        new Set([rig.releases.get(name)?.[1]]),
      );
    await until(
      async () => (await rig.pool.query('SELECT FROM job UNION ALL SELECT FROM promotion_lock')).rowCount === 0,
      {
        what: 'nothing to be left to do',
      },
    );
  }, 300_000);
});
