import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '#harness';
import { afterEach, describe, expect, it } from 'vitest';
import { JOBS_AT_ONCE, type JobQueue } from '../jobs/job-queue.js';

/** What every queue does. @param open makes one that shares nothing with those before */
export function jobQueueConformance(name: string, open: () => JobQueue): void {
  describe(`${name}: a queue`, () => {
    const queues: JobQueue[] = [];
    const started = (run: (job: string) => Promise<void>): JobQueue => {
      const queue = open();
      queues.push(queue);
      queue.start(run);
      return queue;
    };
    afterEach(async () => {
      await Promise.all(queues.splice(0).map((queue) => queue.stop()));
    });

    it('runs what it was woken for, and what is woken for later not before that', async () => {
      const ran: [string, number][] = [];
      const queue = started((job) => Promise.resolve(void ran.push([job, performance.now()])));
      await answers(queue, 'first');
      const asked = performance.now();
      await queue.wake('later.1', 400);
      await queue.wake('now.1', 0);
      await until(() => ran.length === 3, { what: 'all three', every: 5 });
      expect(ran.map(([job]) => job)).toEqual(['first', 'now.1', 'later.1']);
      expect((ran[2]?.[1] ?? 0) - asked).toBeGreaterThan(390);
    });

    it('counts wakes for one moment as one, and runs a job again that is woken after it ran', async () => {
      const ran = new Map<string, number>();
      const queue = started((job) => Promise.resolve(void ran.set(job, (ran.get(job) ?? 0) + 1)));
      await answers(queue, 'warm');
      await Promise.all(Array.from({ length: 50 }, () => queue.wake('one', 200)));
      await queue.wake('last', 300);
      await until(() => ran.has('last'), { what: 'what was woken for later' });
      const times = ran.get('one') ?? 0;
      expect([times > 0, times < 10]).toEqual([true, true]); // they were asked for within some moments
      await queue.wake('one', 50);
      await until(() => ran.get('one') === times + 1, { what: 'the job again' });
    });

    it('runs a few at a time, and each of very many', async () => {
      const done = new Set<string>();
      let [now, most] = [0, 0];
      const queue = started(async (job) => {
        most = Math.max(most, ++now);
        await sleep(5);
        now -= 1;
        done.add(job);
      });
      await answers(queue, 'warm');
      await Promise.all(Array.from({ length: 100 }, (_, n) => queue.wake(`job.${n}`, n % 7)));
      await until(() => done.size === 101, { what: 'all of them' });
      expect(most).toBe(JOBS_AT_ONCE);
    });

    it('runs a job again that was woken while it ran', async () => {
      let ran = 0;
      const queue = started(async (job) => {
        ran += 1;
        if (ran === 1) await queue.wake(job, 30);
        await sleep(60);
      });
      await answers(queue, 'again');
      await until(() => ran === 2, { what: 'the second time' });
    });

    it('waits for what runs when it stops, and runs nothing after that', async () => {
      let [begun, ended] = [0, 0];
      const queue = started(async () => {
        begun += 1;
        await sleep(150);
        ended += 1;
      });
      await answers(queue, 'running');
      await until(() => begun === 1, { what: 'the job to run', every: 2 });
      await queue.wake('never', 250);
      await queue.stop();
      expect(ended).toBe(1);
      await sleep(400);
      expect(begun).toBe(1);
    });
  });
}

/** One on Redis refuses what it cannot send yet. */
export function answers(queue: JobQueue, job: string): Promise<true> {
  return until(() => queue.wake(job, 0).then(() => true as const), { what: 'the queue to answer' });
}
