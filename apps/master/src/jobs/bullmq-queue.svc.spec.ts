import { randomUUID } from 'node:crypto';
import { createLog } from '#platform';
import { describeWith, freePorts, pauseProcess, type RedisService, startRedis, until } from '#harness';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { answers, jobQueueConformance } from '../testing/job-queue-conformance.js';
import { BullmqQueue } from './bullmq-queue.js';

const log = createLog('test', 'silent');

describeWith('redis', 'jobs on Redis', () => {
  let redis: RedisService;
  beforeAll(async () => {
    redis = await startRedis();
  });
  afterAll(() => redis?.stop());

  jobQueueConformance('BullMQ', () => new BullmqQueue(redis.url, randomUUID(), log));

  it('wakes one of several masters for each job', async () => {
    const prefix = randomUUID();
    const ran: string[] = [];
    const masters = [1, 2, 3].map(() => new BullmqQueue(redis.url, prefix, log));
    for (const master of masters) master.start((job) => Promise.resolve(void ran.push(job)));
    await Promise.all(masters.map((master) => answers(master, 'job.0')));
    await Promise.all(masters.flatMap((master) => [1, 2, 3, 4, 5].map((n) => master.wake(`job.${n}`, 200))));
    await until(() => new Set(ran).size === 6, { what: 'all jobs' });
    expect(ran.length).toBeLessThan(15); // once each, or so: not by every master
    await Promise.all(masters.map((master) => master.stop()));
  });
});

describeWith('redis', 'a Redis that is gone', () => {
  it('refuses wakes at once, or within a second, and is found again', async () => {
    const redis = await startRedis();
    const queue = new BullmqQueue(redis.url, randomUUID(), log);
    const ran: string[] = [];
    queue.start((job) => Promise.resolve(void ran.push(job)));
    await answers(queue, 'before');
    await until(() => ran.length === 1, { what: 'the first job' });
    if (redis.pid === undefined) return redis.stop(); // somebody else's: not to be stopped
    await pauseProcess(redis.pid);
    await expect(queue.wake('lost', 0)).rejects.toThrow(/timed out/i);
    process.kill(redis.pid, 'SIGCONT');
    await answers(queue, 'after');
    await until(() => ran.includes('after'), { what: 'a job after the pause' });
    await redis.kill();
    await expect(queue.wake('gone', 0)).rejects.toThrow();
    await queue.stop();
    await redis.stop();
  });

  it('keeps nobody from starting and stopping that never found it', async () => {
    const [port] = await freePorts(1);
    const queue = new BullmqQueue(`redis://127.0.0.1:${port}`, randomUUID(), log);
    queue.start(() => Promise.resolve());
    await expect(queue.wake('job', 0)).rejects.toThrow('Redis does not answer');
    await queue.stop();
  });
});
