import { hash } from 'node:crypto';
import { beforeEach, expect, it } from 'vitest';
import { LIMITS } from '#artifacts';
import { until } from '#harness';
import { decodeKeyRecord, encodeText, placementKey, TABLE } from '#model';
import { auditChain } from '../testing/chain-audit.js';
import type { PublishingMaster } from '../testing/publishing-master.js';
import { PublishingScene } from '../testing/publishing-scene.js';
import { applicationMark } from './marks.js';

const scene = PublishingScene.forEachTest();
let master: PublishingMaster;
beforeEach(async () => {
  master = await scene.start();
});

/** The chain once all markers are taken: what it says of an entry, in hexadecimal. */
async function chain(): Promise<(table: number, key: Buffer) => string | undefined> {
  await scene.drained();
  const { entries } = await auditChain(scene.pool);
  return (table, key) => entries.get(`${table}:${key.toString('hex')}`);
}

const complaint = (text: string): Promise<unknown> =>
  until(() => master.complaints.find(({ level, entry }) => level === 50 && String(entry).includes(text)), {
    what: `an error in the log about ${text}`,
  });

it('R6 a revocation is published although another entry of its transaction cannot be, which keeps what the chain says of it', async () => {
  let application = '';
  let chainId: Buffer = Buffer.alloc(0);
  await scene.writer.api('weather');
  await scene.writer.write(async (tx) => {
    await tx.plan('prod', 'gold', 1);
    application = await tx.application('app');
    await tx.subscribe('prod', application, 'weather:v1', 'gold');
    ({ chainId } = await tx.key('prod', application));
  });
  const before = (await chain())(TABLE.plan, encodeText('gold'));
  await scene.writer.write(async (tx) => {
    await tx.client.query(`UPDATE plan SET rate = '{"limit": "many"}' WHERE id = 'gold'`);
    await tx.mark('prod', { table: TABLE.plan, key: encodeText('gold') });
    await tx.revoke('prod', chainId);
  });
  const after = await chain();
  expect(before).toBeDefined();
  expect(after(TABLE.plan, encodeText('gold'))).toBe(before);
  expect(decodeKeyRecord(Buffer.from(after(TABLE.key, chainId) ?? '', 'hex')).revoked).toBe(true);
  await complaint('plan gold');
});

it('a release brings the plan of its open routes along, or does not come where that cannot be published', async () => {
  const api = await scene.writer.api('weather');
  const definition = Buffer.from('{"openPlan":"guests"}');
  const digest = hash('sha256', definition, 'buffer');
  await scene.pool.query(`INSERT INTO plan (id, rate) VALUES ('guests', '{"limit": "many"}')`); // not marked
  await scene.pool.query(
    `INSERT INTO release (digest, api_id, definition, plans, routes, created_by, open_plan) VALUES ($1, $2, $3, '{}', 1, 'ann', 'guests')`,
    [digest, api, definition],
  );
  await scene.writer.write((tx) => tx.place('prod', api, 'eu', digest));
  expect((await chain())(TABLE.placement, placementKey(api, 'eu'))).toBeUndefined();
  await complaint('placement weather:v1@eu');
  await scene.pool.query(`UPDATE plan SET rate = NULL WHERE id = 'guests'`);
  await scene.writer.write((tx) => tx.place('prod', api, 'eu', digest));
  expect((await chain())(TABLE.plan, encodeText('guests'))).toBeDefined(); // `chain` has checked that every revision is closed
});

it('a placement of a release that cannot be published keeps the one that it had', async () => {
  const api = await scene.writer.api('weather');
  const good = await scene.writer.release(api);
  await scene.writer.write((tx) => tx.place('prod', api, 'eu', good));
  await chain();
  const huge = Buffer.alloc(LIMITS.valueBytes + 1);
  for (const [digest, definition] of [
    [hash('sha256', huge, 'buffer'), huge],
    [hash('sha256', 'something else', 'buffer'), Buffer.from('{}')],
  ] as const) {
    await scene.pool.query(
      `INSERT INTO release (digest, api_id, definition, plans, routes, created_by) VALUES ($1, $2, $3, '{}', 1, 'ann')`,
      [digest, api, definition],
    );
    await scene.writer.write(async (tx) => {
      await tx.place('prod', api, 'eu', digest);
      await tx.plan('prod', 'gold', 1);
    });
    const says = await chain();
    expect(says(TABLE.placement, placementKey(api, 'eu'))).toBe(good.toString('hex'));
    expect(says(TABLE.release, good)).toBeDefined();
    expect(says(TABLE.plan, encodeText('gold'))).toBeDefined();
    await complaint(`release ${digest.toString('hex')}`);
    await complaint(`placement ${api}@eu`);
  }
});

it('a plan whose row is gone stays as long as a value refers to it that could not be replaced', async () => {
  let application = '';
  await scene.writer.api('weather');
  await scene.writer.write(async (tx) => {
    await tx.plan('prod', 'gold', 1);
    application = await tx.application('app');
    await tx.subscribe('prod', application, 'weather:v1', 'gold');
    await tx.key('prod', application);
  });
  await chain();
  await scene.writer.write(async (tx) => {
    await tx.plan('prod', 'Not a plan id', 1);
    await tx.subscribe('prod', application, 'weather:v1', 'Not a plan id');
    await tx.client.query(`DELETE FROM plan WHERE id = 'gold'`);
    await tx.mark('prod', { table: TABLE.plan, key: encodeText('gold') });
  });
  expect((await chain())(TABLE.plan, encodeText('gold'))).toBeDefined(); // `chain` has checked that every revision is closed
  await complaint(`application ${application}`);
});

it('a row that PostgreSQL cannot read does not hold up the others', { timeout: 180_000 }, async () => {
  const ids: string[] = [];
  await scene.writer.write(async (tx) => {
    for (let n = 0; n < 9; n++) ids.push(await tx.application(`app ${n}`));
  });
  // as a damaged page does: reading this one row fails
  await scene.pool.query('ALTER TABLE application RENAME TO application_rows');
  await scene.pool.query(
    `CREATE VIEW application AS SELECT id, name, CASE WHEN id = '${ids[4]}' THEN lpad(status, -1 + 0 / (length(name) - length(name)), 'x') ELSE status END AS status FROM application_rows`,
  );
  const keys: Buffer[] = [];
  await scene.writer.write(async (tx) => {
    for (const id of ids) keys.push((await tx.key('prod', id)).chainId);
  });
  const says = await chain();
  expect(ids.map((id) => says(TABLE.application, applicationMark(id).key) !== undefined)).toEqual(
    ids.map((_, n) => n !== 4),
  );
  expect(keys.map((key) => says(TABLE.key, key) !== undefined)).toEqual(ids.map((_, n) => n !== 4));
  await complaint(`application ${ids[4]}`);
});

it('a chain that contradicts itself is not continued; sums that were lost are made again from the entries', async () => {
  await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
  await chain();
  await master.stop();
  await scene.pool.query(`UPDATE chain_bucket SET sum = decode(repeat('00', 32), 'hex')`);
  master = await scene.start();
  await scene.writer.write((tx) => tx.plan('prod', 'silver', 1));
  await chain();
  expect(master.complaints.map(({ msg }) => msg)).toEqual([
    'the bucket sums did not fit the state root, and were made again from the entries',
  ]);
  await master.stop();
  await scene.pool.query(`DELETE FROM published_entry WHERE key = 'gold'`);
  await scene.pool.query('DELETE FROM chain_bucket');
  master = await scene.start();
  await until(
    () => master.complaints.find(({ level, cause }) => level === 50 && String(cause).includes('restore the database')),
    { what: 'it to say so' },
  );
  expect(master.publishers.standing('prod')).toMatchObject({
    leader: false,
    error: expect.stringContaining('neither chain_bucket nor published_entry'),
  });
});
