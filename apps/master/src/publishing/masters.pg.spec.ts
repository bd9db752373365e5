import { describe, expect, it } from 'vitest';
import { until } from '#harness';
import { encodeText, TABLE } from '#model';
import { auditChain } from '../testing/chain-audit.js';
import type { PublishingMaster } from '../testing/publishing-master.js';
import { PublishingScene } from '../testing/publishing-scene.js';
import { markEnvironment, planMark } from './marks.js';
import { PublishingHealth } from './publishing-health.js';
import { RevisionLookup } from './revision-lookup.js';

const scene = PublishingScene.forEachTest();

describe('masters', () => {
  it('tell each other of revisions, and find out which one carries a transaction', async () => {
    const one = await scene.start();
    await one.leads('prod');
    const other = await scene.start();
    await until(() => other.publishers.standing('prod'), { what: 'the other one to run' });
    const xid = await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
    other.publishers.hint(['prod']);
    await until(
      () =>
        other.published.some(
          ({ environment, revision, xids }) => environment === 'prod' && revision === 1 && xids === null,
        ),
      { what: 'the other one to hear of it' },
    );
    const own = await until(() => one.published.find(({ xids }) => xids?.has(xid)), { what: 'its own word of it' });
    expect(own).toMatchObject({ environment: 'prod', revision: 1, xids: new Set([xid]) });
    await scene.writer.write((tx) => tx.plan('prod', 'gold', 2));
    await scene.revisions();
    const lookup = new RevisionLookup(other.options);
    expect(await lookup.revisionOf(xid, 'prod')).toBe(1);
    expect(await lookup.revisionOf('1', 'prod'), 'one that left nothing behind').toBe(2);
  });

  it('say that a transaction still waits', async () => {
    const xid = await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
    const query = <T extends object>(sql: string, parameters?: unknown[]): Promise<T[]> =>
      scene.pool.query(sql, parameters).then(({ rows }) => rows as T[]);
    const lookup = new RevisionLookup({ query } as PublishingMaster['options']);
    expect(await lookup.revisionOf(xid, 'prod')).toBeNull();
    expect(await lookup.revisionOf('1', 'prod')).toBe(0);
  });

  it('publish a new environment at once where it was made, and within a second elsewhere', async () => {
    const master = await scene.start();
    await master.leads('prod');
    await scene.writer.write(async (tx) => {
      await tx.plan('prod', 'gold', 1);
      await tx.client.query(`INSERT INTO environment (id, position) VALUES ('staging', 2)`);
      await markEnvironment(tx.client, 'staging');
    });
    master.publishers.hint(['staging']);
    await until(async () => (await auditChain(scene.pool, 'staging')).revisions.length === 1, {
      what: 'its plans to be published',
    });
    await scene.writer.environment('dev'); // nobody says anything
    await master.leads('dev');
  });

  it('let a chain go on when its environment was deleted and is made again', async () => {
    const master = await scene.start();
    await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
    await scene.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await scene.revisions();
    await scene.pool.query(`DELETE FROM environment WHERE id = 'prod'`);
    await until(() => master.publishers.standing('prod') === undefined, { what: 'its publisher to stop' });
    const before = (await auditChain(scene.pool)).revisions.length;
    await scene.pool.query(`DELETE FROM plan WHERE id = 'silver'`);
    await scene.writer.write(async (tx) => {
      await tx.client.query(`INSERT INTO environment (id, position) VALUES ('prod', 2)`);
      await markEnvironment(tx.client, 'prod');
    });
    const all = await scene.revisions();
    expect(all).toHaveLength(before + 1);
    expect(all.at(-1)?.ops).toEqual([{ table: TABLE.plan, key: encodeText('silver'), value: null }]);
  });

  it('leave markers of tables that only a newer build knows', async () => {
    await scene.start();
    await scene.pool.query(`INSERT INTO outbox (environment_id, table_id, key) VALUES ('prod', 99, 'x')`);
    await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
    await until(async () => (await auditChain(scene.pool)).revisions.length === 1, { what: 'the plan' });
    expect((await scene.pool.query('SELECT table_id FROM outbox')).rows).toEqual([{ table_id: 99 }]);
  });
});

describe('a leader', () => {
  it('publishes nothing more in a term that was ended by somebody else, and begins a new one', async () => {
    const master = await scene.start();
    await scene.publish(2);
    await scene.pool.query('UPDATE chain SET epoch = epoch + 1');
    await scene.publish(1);
    expect((await scene.revisions()).map(({ epoch }) => epoch)).toEqual([1, 1, 3]);
    expect(master.complaints.filter(({ level }) => level === 50)).toEqual([]);
  });

  it('is told about in the health of each master', async () => {
    const one = await scene.start(scene.store, { instance: 'one' });
    await one.leads('prod');
    const other = await scene.start(scene.store, { instance: 'other' });
    await scene.publish(2);
    await scene.stored();
    const healthOf = (master: PublishingMaster) =>
      new PublishingHealth(master.options, master.publishers).environments();
    const isKept = async (): Promise<boolean> =>
      (await healthOf(one))[0]?.store?.state === 'ok' && (await healthOf(other))[0]?.storedRevision === 2;
    await until(isKept, { what: 'the progress of the store to be kept' });
    const same = {
      environment: 'prod',
      leaderInstance: 'one',
      epoch: 1,
      revision: 2,
      storedRevision: 2,
      outbox: 0,
      outboxAgeSeconds: 0,
      error: null,
      fence: null,
      waitsFor: null,
    };
    expect(await healthOf(one)).toEqual([{ ...same, leader: true, store: { state: 'ok', error: null } }]);
    expect(await healthOf(other)).toEqual([{ ...same, leader: false, store: null }]);
  });

  it('hands over within moments when it stops', async () => {
    const one = await scene.start();
    await one.leads('prod');
    const other = await scene.start();
    await scene.publish(1);
    await one.stop();
    await other.leads('prod');
    await scene.publish(1);
    expect((await scene.revisions()).map(({ epoch }) => epoch)).toEqual([1, 2]);
  });

  it('publishes what waits, and goes on, when PostgreSQL ends all connections', async () => {
    const master = await scene.start();
    await scene.publish(1);
    await scene.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    await scene.publish(1);
    expect(await scene.revisions()).toHaveLength(2);
    await until(() => master.publishers.standing('prod')?.error === null, { what: 'it to be well again' });
  });
});

describe('a new environment', () => {
  it('waits for a plan that is being changed, so that neither misses the other', async () => {
    const [changing, creating] = [await scene.pool.connect(), await scene.pool.connect()];
    await changing.query('BEGIN');
    await changing.query(`INSERT INTO plan (id) VALUES ('gold')`);
    await creating.query('BEGIN');
    await creating.query(`INSERT INTO environment (id, position) VALUES ('staging', 2)`);
    const marked = markEnvironment(creating, 'staging');
    await until(
      async () =>
        (
          await scene.pool.query(
            `SELECT FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
          )
        ).rowCount,
      { what: 'it to wait' },
    );
    await changing.query('COMMIT');
    await marked;
    await creating.query('COMMIT');
    changing.release();
    creating.release();
    const { rows } = await scene.pool.query(`SELECT key FROM outbox WHERE environment_id = 'staging'`);
    expect(rows).toEqual([{ key: planMark('gold').key }]);
  });
});
