import { createLog } from '#platform';
import { type FreshDatabase, freshDatabase, until } from '#harness';
import type { EntityManager } from 'typeorm';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openPool } from '../testing/publishing-master.js';
import { as, auditOf, good, outcome, pages } from '../testing/answers.js';
import { type StartedApp, startApp } from '../testing/start-app.js';
import { InProcessQueue } from './in-process-queue.js';
import type { JobQueue } from './job-queue.js';
import { addJob, JobStore, LEASE_SECONDS } from './job-store.js';
import { type JobHandler, Jobs } from './jobs.js';

let database: FreshDatabase;
let pool: pg.Pool;
const started: Jobs[] = [];
const now = (): number => performance.now();

beforeAll(async () => {
  database = await freshDatabase();
  pool = openPool(database.url);
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((jobs) => jobs.stop()));
  await pool.query('DELETE FROM job');
});

function start(worker: string, handler: JobHandler, queue: JobQueue = new InProcessQueue(now)): Jobs {
  const store = new JobStore((sql, parameters) => pool.query(sql, parameters).then(({ rows }) => rows), worker);
  const jobs = new Jobs({ store, queue, log: createLog('test', 'silent'), now, random: () => 0 });
  jobs.handle('test', handler);
  jobs.start();
  started.push(jobs);
  return jobs;
}

const add = (id: string): Promise<void> =>
  addJob(pool as unknown as EntityManager, { id, kind: 'test', subject: `subject of ${id}` });
const rowOf = async (id: string) => (await pool.query('SELECT * FROM job WHERE id = $1', [id])).rows[0];

/** One whose wakes are lost, as by a Redis that is emptied. */
const forgetful: JobQueue = {
  start: () => undefined,
  wake: () => Promise.resolve(),
  stop: () => Promise.resolve(),
};
/** One whose wakes are refused, as by a Redis that is away. */
const refusing: JobQueue = { ...forgetful, wake: () => Promise.reject(new Error('Redis does not answer')) };

describe('a job', () => {
  it('runs once, whoever and how many are woken for it, and is gone when it is done', async () => {
    const ran: string[] = [];
    const masters = ['a', 'b', 'c'].map((name) =>
      start(name, ({ id, subject }) => Promise.resolve(ran.push(`${id} ${subject}`)).then(() => null)),
    );
    await add('job.1');
    await add('job.1');
    await Promise.all(masters.flatMap((jobs) => [jobs.wake('job.1'), jobs.wake('job.1'), jobs.wake('no.such')]));
    await until(async () => (await rowOf('job.1')) === undefined, { what: 'the job to be done' });
    expect(ran).toEqual(['job.1 subject of job.1']);
  });

  it('comes again after the time that it asks for, as often as it asks', async () => {
    let left = 3;
    const jobs = start('a', () => Promise.resolve(left-- > 0 ? 20 : null));
    await add('job.2');
    await jobs.wake('job.2');
    await until(async () => (await rowOf('job.2')) === undefined, { what: 'the job to be done' });
    expect(left).toBe(-1);
  });

  it('is tried again when it fails, then stays failed with its error until somebody asks for it', async () => {
    let broken = true;
    const jobs = start('a', () => (broken ? Promise.reject(new Error('the disk is full')) : Promise.resolve(null)));
    await add('job.3');
    await pool.query(`UPDATE job SET attempts = 10 WHERE id = 'job.3'`);
    await jobs.wake('job.3');
    await until(async () => (await rowOf('job.3'))?.attempts === 11, { what: 'the attempt before the last' });
    expect(await rowOf('job.3')).toMatchObject({ state: 'waiting', error: 'the disk is full', worker: 'a' });
    await pool.query(`UPDATE job SET run_at = now() WHERE id = 'job.3'`);
    await jobs.wake('job.3');
    await until(async () => (await rowOf('job.3'))?.state === 'failed', { what: 'it to be given up' });
    await jobs.sweep();
    await jobs.wake('job.3');
    broken = false;
    expect(await rowOf('job.3')).toMatchObject({ attempts: 12, state: 'failed' });
    await pool.query(`UPDATE job SET state = 'waiting', attempts = 0, run_at = now() WHERE id = 'job.3'`);
    await jobs.wake('job.3');
    await until(async () => (await rowOf('job.3')) === undefined, { what: 'the job to be done' });
  });

  it('of a kind that this build does not know waits for one that does', async () => {
    const jobs = start('a', () => Promise.resolve(null));
    await pool.query(`INSERT INTO job (id, kind, subject) VALUES ('job.4', 'telegram', 'x')`);
    await jobs.wake('job.4');
    await until(async () => (await rowOf('job.4'))?.error, { what: 'the complaint' });
    expect(await rowOf('job.4')).toMatchObject({
      state: 'waiting',
      error: 'this build knows no jobs of the kind "telegram"',
    });
  });

  it('that a queue lost is found by the sweep, and one that a queue refuses runs here at once', async () => {
    const ran: string[] = [];
    const handler: JobHandler = ({ id }) => Promise.resolve(void ran.push(id)).then(() => null);
    const lost = start('a', handler, forgetful);
    await add('job.5');
    await lost.wake('job.5');
    await lost.sweep();
    await until(() => ran.includes('job.5'), { what: 'the job that was lost' });
    const away = start('b', handler, refusing);
    await add('job.6');
    await away.wake('job.6');
    await until(() => ran.includes('job.6'), { what: 'the job that was refused', within: 5_000 });
  });

  it('whose master has gone is begun again by another one, once its lease is over', async () => {
    const ran: string[] = [];
    await add('job.7');
    await pool.query(
      `UPDATE job SET state = 'running', worker = 'dead', attempts = 1, lease_until = now() + interval '${LEASE_SECONDS} seconds' WHERE id = 'job.7'`,
    );
    const other = start('b', ({ id }) => Promise.resolve(void ran.push(id)).then(() => null), forgetful);
    await other.wake('job.7');
    expect(ran).toEqual([]);
    await until(() => ran.includes('job.7'), { what: 'the job of the dead master' });
    await until(async () => (await rowOf('job.7')) === undefined, { what: 'the job to be done' });
  });

  it('that ran past its lease changes nothing of the attempt that was begun after it', async () => {
    let finish = (): void => undefined;
    const slow = start('slow', () => new Promise((resolve) => (finish = () => resolve(null))));
    await add('job.8');
    await slow.wake('job.8');
    await until(async () => (await rowOf('job.8'))?.state === 'running', { what: 'the slow one to begin' });
    await pool.query(`UPDATE job SET attempts = 2, worker = 'quick' WHERE id = 'job.8'`);
    finish();
    await slow.stop();
    expect(await rowOf('job.8')).toMatchObject({ state: 'running', worker: 'quick' });
  });
});

describe('/v1/jobs', () => {
  let app: StartedApp;
  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app?.stop());

  it('shows what waits and has failed, and lets operators have a job tried again', async () => {
    await app.source.query(
      `INSERT INTO job (id, kind, subject, state, attempts, error, run_at) VALUES
         ('x.1', 'other', 'a', 'failed', 12, 'no such thing', now()), ('x.2', 'other', 'b', 'waiting', 0, NULL, now() + interval '1 hour'),
         ('x.3', 'other', 'c', 'running', 1, NULL, now())`,
    );
    await app.source.query(`UPDATE job SET lease_until = now() + interval '1 hour', worker = 'w' WHERE id = 'x.3'`);
    expect((await pages(app, '/v1/jobs', 1)).map(({ id, state }) => `${id} ${state}`)).toEqual([
      'x.1 failed',
      'x.2 waiting',
      'x.3 running',
    ]);
    const metrics = (await app.call('GET', '/metrics')).body;
    for (const state of ['waiting', 'running', 'failed'])
      expect(metrics).toContain(`heliograph_jobs{state="${state}"} 1`);
    const [viewer, operator] = [await as(app, 'viewer'), await as(app, 'operator')];
    expect((await good(viewer('GET', '/v1/jobs?state=failed'))).items).toMatchObject([
      { id: 'x.1', kind: 'other', subject: 'a', attempts: 12, error: 'no such thing' },
    ]);
    expect(await outcome(viewer('POST', '/v1/jobs/x.1/retry'))).toBe('403 forbidden');
    expect(await outcome(operator('POST', '/v1/jobs/x.9/retry'))).toBe('404 not_found');
    expect(await outcome(operator('POST', '/v1/jobs/x.3/retry'))).toBe('409 conflict');
    expect(await good(operator('POST', '/v1/jobs/x.1/retry'))).toMatchObject({ state: 'waiting', attempts: 0 });
    expect(await auditOf(app, 'job/x.1')).toMatchObject([{ action: 'job.retry', before: { state: 'failed' } }]);
    await until(
      async () =>
        (await app.source.query(`SELECT error FROM job WHERE id = 'x.1'`))[0]?.error.includes('knows no jobs'),
      { what: 'the attempt' },
    );
  });
});
