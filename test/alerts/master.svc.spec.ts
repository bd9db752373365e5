import { hash } from 'node:crypto';
import { renameSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { describeWith, postgres } from '#harness';
import { Rig } from '../scenarios/rig.js';
import { AlertWatch, TEST_MS } from './alert-watch.js';

vi.setConfig({ testTimeout: TEST_MS });

let rig: Rig;
let watch: AlertWatch;
let labels: { instance: string };
/** another session of the master's database */
let session: pg.Client;
/** ... and one that stays when nobody may connect to that */
let admin: pg.Client;
let application: string;

function write(): Promise<unknown> {
  return rig.master.client.post(`/v1/applications/${application}/keys`, { environment: 'prod' });
}

describeWith('prometheus', 'alerts about masters', () => {
  beforeAll(async () => {
    rig = await Rig.start();
    application = (await rig.consumer(await rig.publish('weather'))).application;
    session = new pg.Client(rig.masterOptions().database);
    session.on('error', () => undefined); // it is terminated, too
    await session.connect();
    admin = new pg.Client(postgres().url);
    await admin.connect();
    watch = await AlertWatch.start({ 'heliograph-master': [rig.master.url] });
    labels = { instance: new URL(rig.master.url).host };
  });
  afterAll(async () => {
    await watch?.stop();
    await session?.end().catch(() => undefined);
    await admin?.end();
    await rig?.stop();
  });

  it('HeliographStoreBehind, -WritesWait: a store that is away, then a lock that holds the publisher up, until both are mended', async () => {
    const environment = { environment: 'prod' };
    const published = (async () => {
      renameSync(rig.storeDirectory, `${rig.storeDirectory}-away`);
      await write();
    })();
    const [behind] = await Promise.all([
      watch.firesAndClears(
        'HeliographStoreBehind',
        environment,
        () => published,
        () => renameSync(`${rig.storeDirectory}-away`, rig.storeDirectory),
      ),
      watch.firesAndClears(
        'HeliographWritesWait',
        environment,
        async () => {
          await published;
          await session.query('BEGIN');
          await session.query('LOCK TABLE revision IN SHARE MODE');
          void write().catch(() => undefined); // answered when it is published
        },
        () => session.query('ROLLBACK'),
      ),
    ]);
    expect(behind.annotations['summary']).toContain('lacks 1 revisions of prod');
  });

  it('HeliographJobFailed: a job that has failed for good, until it is gone', async () => {
    await watch.firesAndClears(
      'HeliographJobFailed',
      {},
      () => session.query(`INSERT INTO job (id, kind, subject, state) VALUES ('a-test', 'none', 'none', 'failed')`),
      () => session.query(`DELETE FROM job WHERE id = 'a-test'`),
    );
  });

  it('HeliographMasterDown, -MastersGone: the only master was killed, until there is another one', async () => {
    await watch.firesAndClears(
      'HeliographMasterDown',
      labels,
      async () => {
        rig.master.kill('SIGKILL');
        await rig.master.exited;
      },
      async () => {
        await watch.fires('HeliographMastersGone', {});
        await rig.restartMaster();
        await watch.clears('HeliographMastersGone', {});
      },
    );
  });

  it('HeliographNobodyPublishes: a session that is left of a master holds the office, until it ends', async () => {
    const lock = hash('sha256', 'heliograph publisher prod', 'buffer').readBigInt64BE(0).toString();
    await watch.firesAndClears(
      'HeliographNobodyPublishes',
      { environment: 'prod' },
      async () => {
        await rig.master.stop();
        await session.query('SELECT pg_advisory_lock($1::bigint)', [lock]);
        await rig.restartMaster();
      },
      () => session.query('SELECT pg_advisory_unlock($1::bigint)', [lock]),
    );
  });

  it('HeliographDatabaseAway: PostgreSQL lets nobody in, until it does', async () => {
    const database = new URL(rig.masterOptions().database).pathname.slice(1);
    const allow = (yes: boolean): Promise<unknown> =>
      admin.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS ${yes}`);
    await watch.firesAndClears(
      'HeliographDatabaseAway',
      labels,
      async () => {
        await allow(false);
        await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [database]);
      },
      () => allow(true),
    );
  });
});
