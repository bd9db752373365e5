import { mkdtempSync } from 'node:fs';
import { once } from 'node:events';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Answer, type FreshDatabase, freshDatabase, type Master, startMaster, until } from '#harness';
import { sleep } from '#platform';

/** Less than a write waits for a revision that nobody tells it of, and than a process has for its end. */
const SOON_MS = 8_000;

let database: FreshDatabase;
let holder: pg.Client;
let master: Master;

beforeAll(async () => {
  database = await freshDatabase();
  holder = new pg.Client(database.url);
  await holder.connect();
  const store = `file://${join(mkdtempSync(join(tmpdir(), 'helio-drain-')), 'store')}`;
  master = await startMaster({ database: database.url, store });
  await master.client.post('/v1/environments', { id: 'prod', position: 30 });
  await master.client.post('/v1/regions', { id: 'eu-west', environment: 'prod' });
});
beforeEach(async () => {
  master = await master.again();
});
afterAll(async () => {
  await master?.stop();
  await holder?.end();
  await database?.drop();
});

const soon = <T>(answer: Promise<T>): Promise<T | 'not soon'> =>
  Promise.race([answer, sleep(SOON_MS).then(() => 'not soon' as const)]);

describe('a master that is told to stop', () => {
  beforeAll(() => master.stop());

  it('is not ready, then not there, and answers a write that is under way with its revision', async () => {
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE plan IN SHARE ROW EXCLUSIVE MODE');
    const write = master.client.post('/v1/plans', { id: 'gold' });
    const waiting =
      'SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())';
    await until(async () => (await holder.query(waiting)).rows.length > 0, { what: 'the write to be under way' });

    master.kill('SIGTERM');
    const readiness = await until(
      async () => {
        const answer = await fetch(`${master.url}/readyz`);
        return answer.status === 503 && { headers: answer.headers, body: await answer.json() };
      },
      { what: 'it to be not ready', every: 5 },
    );
    expect(readiness.body).toMatchObject({ status: 'unavailable', stops: true, database: 'ok' });
    expect(readiness.headers.get('connection')).toBe('close');
    const refused = () =>
      fetch(`${master.url}/livez`).then(
        () => false,
        () => true,
      );
    await until(refused, { what: 'its port to be closed' });

    await holder.query('COMMIT');
    const answer = (await soon(write)) as Answer;
    expect(answer).toMatchObject({ status: 201 });
    expect(answer.headers.get('heliograph-revision')).toMatch(/^prod@\d+$/);
    expect(await master.exited).toBe('exit code 0');
  });

  it('does not wait for a connection on which nothing was ever asked', async () => {
    const { hostname, port } = new URL(master.url);
    const unused = connect(Number(port), hostname).on('error', () => undefined);
    await once(unused, 'connect');
    await master.client.get('/v1/plans'); // it was accepted before this one
    master.kill('SIGTERM');
    expect(await master.exited).toBe('exit code 0'); // 1: it was cut off
    unused.destroy();
  });

  it('waits no longer for replicas: the answer says who is missing', async () => {
    const { body: token } = await master.client.post('/v1/join-tokens', { region: 'eu-west' });
    const { body: replica } = await master.client.post('/v1/replicas/join', {
      token: token.token,
      region: 'eu-west',
      environment: 'prod',
      build: 'test',
    });
    const write = master.client.post('/v1/plans', { id: 'silver' }, { headers: { prefer: 'wait=60' } });
    const written = async () => (await holder.query(`SELECT FROM plan WHERE id = 'silver'`)).rows.length > 0;
    await until(written, { what: 'the write to be committed' });
    master.kill('SIGTERM');
    const answer = (await soon(write)) as Answer;
    expect(answer).toMatchObject({ status: 202 });
    expect(answer.headers.get('heliograph-missing')).toContain(replica.replica);
    expect(await master.exited).toBe('exit code 0');
  });
});
