import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { deltaName } from '#artifacts';
import { until } from '#harness';
import { decodeKeyRecord, TABLE } from '#model';
import { auditChain, entriesOfRows } from '../../testing/chain-audit.js';
import { interposed, noAnswer, unreachable } from '../../testing/publishing-master.js';
import { RevisionLookup } from '../revision-lookup.js';
import { STORE_RULES } from '../store/store-rules.js';
import { ReplicaSupplies } from './replica-supply.js';
import { PublishingScene } from '../../testing/publishing-scene.js';
import { auditStore } from '../../testing/store-audit.js';

const scene = PublishingScene.forEachTest();
/** An application with a subscription and so many keys, on the chain. */
async function populate(keys: number): Promise<{ application: string; chainIds: Buffer[] }> {
  const api = await scene.writer.api('weather');
  const release = await scene.writer.release(api);
  const chainIds: Buffer[] = [];
  let application = '';
  await scene.writer.write(async (tx) => {
    await tx.plan('prod', 'gold', 1);
    await tx.place('prod', api, '*', release);
    application = await tx.application('ann');
    await tx.subscribe('prod', application, api, 'gold');
    for (let i = 0; i < keys; i++) chainIds.push((await tx.key('prod', application)).chainId);
  });
  return { application, chainIds };
}

/** What the chain says of a key at its newest revision; null: nothing. */
async function keyOnChain(pool: pg.Pool, chainId: Buffer): Promise<ReturnType<typeof decodeKeyRecord> | null> {
  const { rows } = await pool.query<{ value: Buffer }>(
    `SELECT value FROM published_entry WHERE table_id = ${TABLE.key} AND key = $1`,
    [chainId],
  );
  return rows[0] ? decodeKeyRecord(rows[0].value) : null;
}

describe('a database that was restored from a backup', () => {
  it('R1 R3 takes over what it has forgotten, byte by byte, and goes on behind it in a newer term', async () => {
    const first = await scene.start();
    await populate(3);
    await scene.drained();
    await scene.publish(3);
    await scene.stored();
    await first.stop();
    const restored = await scene.copy();
    const second = await scene.start();
    await scene.publish(4);
    await scene.stored();
    const before = await auditChain(scene.pool);
    await second.stop();

    const master = await restored.start();
    await master.leads('prod');
    await restored.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await until(async () => (await auditChain(restored.pool)).entries.size > before.entries.size, {
      what: 'the new plan',
    });
    const { revisions } = await auditChain(restored.pool); // without a gap, each fitting on the one before
    before.revisions.forEach(({ bytes }, index) => expect(revisions[index]?.bytes.equals(bytes)).toBe(true));
    expect(revisions.length).toBeGreaterThan(before.revisions.length);
    const epochs = before.revisions.map(({ epoch }) => epoch);
    expect(revisions.at(-1)?.epoch).toBeGreaterThan(Math.max(...epochs));
    await until(async () => (await auditStore(scene.store, restored.pool)).revision === revisions.length, {
      what: 'the store',
    });
    // the plan that was changed after the backup follows the rows again
    expect((await auditChain(restored.pool)).entries).toEqual(await entriesOfRows(restored.pool));
    const { rows } = await restored.pool.query(
      'SELECT *, from_revision::int AS "from", to_revision::int AS "to" FROM restore',
    );
    expect(rows).toEqual([
      expect.objectContaining({
        environment_id: 'prod',
        from: 4,
        to: 8,
        revocations: 0,
        changed_back: 1,
        finished_at: expect.any(Date),
      }),
    ]);
  });

  it('R9 gives back no key, subscription or application that was taken away after the backup', async () => {
    const first = await scene.start();
    const { application, chainIds } = await populate(4);
    const other = await scene.writer.write(async (tx) => void (await tx.key('prod', await tx.application('bob'))));
    expect(other).not.toBe('');
    await scene.drained();
    await scene.stored();
    await first.stop();
    const restored = await scene.copy();
    const second = await scene.start();
    const [revoked, kept] = chainIds as [Buffer, Buffer];
    await scene.writer.write(async (tx) => {
      await tx.revoke('prod', revoked);
      await tx.client.query('DELETE FROM subscription');
      await tx.client.query(`UPDATE application SET status = 'suspended' WHERE id = $1`, [application]);
      await tx.mark('prod', { table: TABLE.application, key: Buffer.from(application.replaceAll('-', ''), 'hex') });
    });
    const { rows: bobs } = await scene.pool.query<{ id: string; chain_id: Buffer }>(
      `SELECT a.id, k.chain_id FROM application a JOIN api_key k ON k.application_id = a.id WHERE a.name = 'bob'`,
    );
    await scene.writer.write((tx) => tx.removeApplication('prod', bobs[0]?.id ?? ''));
    await scene.drained();
    await scene.stored();
    await second.stop();

    const master = await restored.start();
    await master.leads('prod');
    await restored.drained();
    const { revisions } = await auditChain(restored.pool);
    expect(await keyOnChain(restored.pool, revoked)).toMatchObject({ revoked: true });
    expect(await keyOnChain(restored.pool, kept)).toMatchObject({ revoked: false });
    const goneWithApplication = bobs[0]?.chain_id ?? Buffer.alloc(0);
    expect(await keyOnChain(restored.pool, goneWithApplication)).toMatchObject({ revoked: true });
    // at no revision does the chain say that it is good again
    for (const { ops } of revisions.slice(3)) {
      for (const { key, value } of ops.filter(({ table }) => table === TABLE.key))
        if (value && !key.equals(kept)) expect(decodeKeyRecord(value).revoked).toBe(true);
    }
    const rowsOf = async (sql: string): Promise<unknown[]> => (await restored.pool.query(sql)).rows;
    expect(await rowsOf('SELECT id FROM subscription')).toEqual([]);
    expect(await rowsOf(`SELECT status FROM application WHERE name = 'ann'`)).toEqual([{ status: 'suspended' }]);
    expect(await rowsOf('SELECT DISTINCT revoked_reason FROM api_key WHERE revoked_at IS NOT NULL')).toEqual([
      { revoked_reason: 'revoked before the restore' },
    ]);
    expect(
      await rowsOf(`SELECT action, count(*)::int AS n FROM audit WHERE actor = 'system' GROUP BY 1 ORDER BY 1`),
    ).toEqual([
      { action: 'application.update', n: 1 },
      { action: 'key.revoke', n: 2 },
      { action: 'subscription.delete', n: 1 },
    ]);
    expect(await rowsOf('SELECT revocations FROM restore')).toEqual([{ revocations: 4 }]);
    expect((await auditChain(restored.pool)).entries).toEqual(await entriesOfRows(restored.pool));
  });

  it('publishes nothing before it has met the store, and says what it waits for', async () => {
    await scene.term(2);
    const restored = await scene.copy();
    await scene.term(2);
    let away = true;
    const store = unreachable(scene.store, () => away);
    await restored.writer.write((tx) => tx.plan('prod', 'silver', 1));
    const master = await restored.start(store);
    const waitsFor = await until(() => master.publishers.standing('prod')?.waitsFor, { what: 'it to wait' });
    expect(waitsFor).toContain('this is another database than the one that published last');
    expect(waitsFor).toContain('the store is away');
    expect((await restored.chain()).revision).toBe(2);
    away = false;
    await master.leads('prod');
    await until(async () => (await restored.chain()).revision >= 5, { what: 'it to go on' });
    await auditChain(restored.pool);
    expect(master.publishers.standing('prod')?.waitsFor).toBeNull();
  });

  it('takes over from a replica what the store cannot tell, and proceeds on the word of an operator', async () => {
    const first = await scene.start();
    await scene.publish(2);
    await first.stop();
    const restored = await scene.copy();
    const second = await scene.start();
    await scene.publish(2);
    await second.stop();
    const lost = await auditChain(scene.pool);
    const replicas = new ReplicaSupplies();
    replicas.register({
      ahead: (_, revision) => (revision < 4 ? [{ replica: 'eu-west-1', epoch: 2, revision: 4 }] : []),
      async *fetch(_, _replica, from, to) {
        yield* lost.revisions.slice(from - 1, to).map(({ bytes }) => bytes);
      },
    });
    const master = await restored.start(unreachable(scene.store), { replicas });
    await until(async () => (await restored.chain()).revision === 4, { what: 'it to take over what it lacks' });
    await until(() => master.publishers.standing('prod')?.waitsFor, { what: 'it to wait' });
    await restored.pool.query(`UPDATE chain SET decision = 'proceed'`);
    await master.leads('prod');
    await restored.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await restored.drained();
    const { revisions, entries } = await auditChain(restored.pool);
    lost.revisions.forEach(({ bytes }, index) => expect(revisions[index]?.bytes.equals(bytes)).toBe(true));
    expect(entries).toEqual(await entriesOfRows(restored.pool));
    expect((await restored.pool.query('SELECT source FROM restore')).rows).toEqual([{ source: 'replica eu-west-1' }]);
  });

  it('goes on at once where nothing was forgotten', async () => {
    await scene.term(2);
    const restored = await scene.copy();
    const master = await restored.start();
    await master.leads('prod');
    await restored.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await until(async () => (await restored.chain()).revision === 3, { what: 'the third revision' });
    expect((await restored.pool.query('SELECT FROM restore')).rowCount).toBe(0);
  });

  it('R1 takes over the state, and says which revisions are missing, when their bytes are gone and a snapshot is left', async () => {
    const first = await scene.start();
    const { chainIds } = await populate(3);
    await scene.drained();
    await scene.stored();
    await first.stop();
    const restored = await scene.copy();
    const rules = { ...STORE_RULES, snapshotRevisions: 1 };
    const second = await scene.start(scene.store, { storeRules: rules });
    await scene.writer.write((tx) => tx.revoke('prod', chainIds[0] as Buffer));
    await scene.drained();
    await scene.publish(3);
    const newest = await scene.revision();
    // of the head itself, so that no revision is left after it
    await until(() => second.publishers.standing('prod')?.store?.snapshot === newest, { what: 'a snapshot' });
    await scene.stored();
    await second.stop();
    rmSync(join(scene.directory, deltaName('prod', 2)));
    // the first revision of the new term comes before the store's head is met again
    const store = interposed(scene.store, async (call, run) => {
      if (call === 'get' && master.publishers.standing('prod')?.leader)
        await until(async () => (await restored.chain()).revision > newest, { what: 'a revision' });
      return run();
    });
    const master = await restored.start(store);
    await master.leads('prod');
    await restored.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await restored.drained();
    const { rows } = await restored.pool.query(
      'SELECT revocations, missing_from::int AS "from", missing_to::int AS "to" FROM restore',
    );
    expect(rows).toEqual([{ revocations: 1, from: 2, to: newest }]);
    expect(await keyOnChain(restored.pool, chainIds[0] as Buffer)).toMatchObject({ revoked: true });
    const { revision } = await restored.chain();
    await until(() => master.publishers.standing('prod')?.store?.revision === revision, { what: 'the store' });
    expect(master.publishers.fences).toEqual([]);
  });

  it('does not take revisions of the database of before for those of its own transactions', async () => {
    await scene.term(2);
    const restored = await scene.copy();
    const { rows } = await restored.pool.query<{ xid: string }>(
      'SELECT (pg_current_xact_id()::text::bigint + 5)::text AS xid',
    );
    await restored.pool.query('UPDATE revision SET xids = ARRAY[$1::bigint] WHERE revision = 1', [rows[0]?.xid]);
    const master = await restored.start();
    await master.leads('prod');
    await restored.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await until(async () => (await restored.chain()).revision === 3, { what: 'the third revision' });
    const lookup = new RevisionLookup(master.options);
    expect(await lookup.revisionOf(rows[0]?.xid ?? '', 'prod')).toBe(3); // it said nothing new, or the newest one has it
  });

  it('waits, and names the revision, when one that it has forgotten is missing in the store as well', async () => {
    await scene.term(2);
    const restored = await scene.copy();
    await scene.term(2);
    rmSync(join(scene.directory, deltaName('prod', 3)));
    const master = await restored.start();
    const waitsFor = await until(() => master.publishers.standing('prod')?.waitsFor, { what: 'it to wait' });
    expect(waitsFor).toContain(`the store's head is at revision 4, and its revision 3`);
  });
});

describe('a database that stayed what it was', () => {
  it('publishes although the store is away', async () => {
    const first = await scene.start();
    await scene.publish(2);
    await first.stop();
    await scene.start(interposed(scene.store, (_, _run, signal) => noAnswer(signal)));
    await scene.publish(1);
    expect(await scene.revisions()).toHaveLength(3);
  });
});
