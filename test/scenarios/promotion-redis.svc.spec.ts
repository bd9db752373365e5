import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith, pauseProcess, type RedisService, startRedis, until } from '#harness';
import { PromotionRig } from './promotion-rig.js';

const EVENTS = [
  'approved create 0',
  'rolling start 1',
  'soaking acknowledged 1',
  'rolling passed 2',
  'soaking acknowledged 2',
  'completed passed 2',
];

describeWith('redis', 'a promotion whose Redis', () => {
  let redis: RedisService;
  let client: Redis;
  let rig: PromotionRig;
  beforeAll(async () => {
    redis = await startRedis();
    client = new Redis(redis.url).on('error', () => undefined);
    rig = await PromotionRig.start(['used', 'emptied', 'paused', 'killed'], { REDIS_URL: redis.url });
  });
  afterAll(async () => {
    client?.disconnect();
    await rig?.stop();
    await redis?.stop();
  });

  const ends = async (name: string, within: number): Promise<void> => {
    const id = await rig.promote(name);
    await rig.is(id, 'completed', within);
    const end = await rig.end(id);
    expect(end.events).toEqual(EVENTS);
    expect(end.placed).toHaveLength(3);
    expect(end.placed.every((place) => place.endsWith(' 1'))).toBe(true);
    const jobs = async (): Promise<number> => (await rig.pool.query('SELECT FROM job')).rows.length;
    await until(async () => (await jobs()) === 0, { what: 'its job to be over' });
  };

  it('works is woken by it', async () => {
    await ends('used', 8_000);
    expect((await client.keys('heliograph:*')).length).toBeGreaterThan(0);
  });

  it('P1 is emptied all the time loses nothing and does nothing twice', async () => {
    const emptied = setInterval(() => void client.flushall(), 5);
    await ends('emptied', 60_000).finally(() => clearInterval(emptied));
  });

  it('P1 does not answer, or is gone, loses nothing and does nothing twice', async () => {
    if (redis.pid === undefined) return; // somebody else's: not to be stopped
    await pauseProcess(redis.pid);
    await ends('paused', 60_000);
    process.kill(redis.pid, 'SIGCONT');
    await until(() => client.ping(), { what: 'Redis to answer again' });
    await redis.kill();
    await ends('killed', 60_000);
  });
});
