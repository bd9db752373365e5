import { describe, expect, it } from 'vitest';
import { LIMITS } from '#artifacts';
import { encodeText, TABLE } from '#model';
import { type AuditedRevision, auditChain, entriesOfRows } from '../testing/chain-audit.js';
import { PublishingScene } from '../testing/publishing-scene.js';

const scene = PublishingScene.forEachTest();

/** One application with `count` keys, in one transaction. */
async function manyKeys(count: number): Promise<string> {
  return scene.writer.write(async (tx) => {
    const application = await tx.application('app');
    await tx.client.query(
      `WITH issued AS (
         INSERT INTO api_key (id, application_id, environment_id, hash, created_by)
         SELECT gen_random_uuid(), $1, 'prod', sha256(convert_to(gen_random_uuid()::text, 'UTF8')), 'test' FROM generate_series(1, $2) RETURNING chain_id
       ) INSERT INTO outbox (environment_id, table_id, key) SELECT 'prod', ${TABLE.key}, chain_id FROM issued`,
      [application, count],
    );
  });
}

/** What a master makes of what has been written; it stops again. */
async function published(): Promise<AuditedRevision[]> {
  const master = await scene.start();
  await scene.drained();
  await master.stop();
  const { revisions, entries } = await auditChain(scene.pool);
  expect(entries).toEqual(await entriesOfRows(scene.pool));
  return revisions;
}

const bytesOf = ({ ops }: AuditedRevision): number => ops.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);

describe('more than one revision takes', () => {
  it('is cut between transactions', { timeout: 360_000 }, async () => {
    const xids = [await manyKeys(1_200), await manyKeys(1_200), await manyKeys(100)];
    const revisions = await published();
    expect(revisions.map((revision) => revision.xids)).toEqual([[xids[0]], xids.slice(1)]);
    expect(revisions.map(({ ops }) => ops.length)).toEqual([1_201, 1_302]);
  });

  it('is not cut within a transaction, however many entries it has up to the limit', { timeout: 360_000 }, async () => {
    const before = await manyKeys(10);
    const xid = await manyKeys(30_000);
    const revisions = await published();
    expect(revisions.map((revision) => revision.xids)).toEqual([[before], [xid]]);
  });

  it('is not cut between transactions that touched the same entry', { timeout: 360_000 }, async () => {
    const first = await scene.writer.write((tx) => tx.plan('prod', 'shared', 1));
    await manyKeys(2_500);
    const last = await scene.writer.write(async (tx) => {
      await tx.plan('prod', 'shared', 2);
      await tx.plan('prod', 'companion', 2);
    });
    const [revision] = await published();
    expect(revision?.xids).toEqual([first, last]);
    expect(revision?.ops.map(({ key }) => key.toString())).toEqual(['companion', 'shared']);
  });

  it('is not cut between a transaction and what another one did to an entry that it brings along', {
    timeout: 360_000,
  }, async () => {
    let application = '';
    const made = await scene.writer.write(async (tx) => {
      application = await tx.application('app');
      await tx.key('prod', application);
    });
    await manyKeys(2_500);
    await scene.writer.api('weather');
    const subscribed = await scene.writer.write(async (tx) => {
      await tx.plan('prod', 'gold', 1);
      await tx.plan('prod', 'silver', 1);
      await tx.subscribe('prod', application, 'weather:v1', 'gold');
    });
    const [revision] = await published();
    expect(revision?.xids).toEqual([made, subscribed]);
  });

  it('leaves the removal of a plan for later when it is cut, and then removes it', { timeout: 360_000 }, async () => {
    await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
    expect(await published()).toHaveLength(1);
    await scene.writer.write(async (tx) => {
      await tx.client.query(`DELETE FROM plan WHERE id = 'gold'`);
      await tx.mark('prod', { table: TABLE.plan, key: encodeText('gold') });
    });
    await manyKeys(2_500);
    const revisions = await published();
    expect(revisions.map(({ ops }) => ops.length)).toEqual([1, 2_501, 1]);
    expect(revisions[2]?.ops).toEqual([{ table: TABLE.plan, key: encodeText('gold'), value: null }]);
  });
});

describe('one transaction beyond the limits', () => {
  it('comes in several closed revisions when it has too many entries, and counts as carried by the last', {
    timeout: 360_000,
  }, async () => {
    const xid = await manyKeys(LIMITS.ops + 1_000);
    const revisions = await published();
    expect(revisions.length).toBeGreaterThan(1);
    expect(revisions.map((revision) => revision.xids)).toEqual([...revisions.slice(1).map(() => []), [xid]]);
    expect(Math.max(...revisions.map(({ ops }) => ops.length))).toBeLessThanOrEqual(LIMITS.ops);
  });

  it('comes in several closed revisions when it has too many bytes, but only by itself', {
    timeout: 360_000,
  }, async () => {
    const place = async (...names: string[]): Promise<string> => {
      const placed = await Promise.all(
        names.map(async (name) => ({
          api: await scene.writer.api(name),
          digest: await scene.writer.release(`${name}:v1`, { filling: 'x'.repeat(14_000_000) }),
        })),
      );
      return scene.writer.write(async (tx) => {
        for (const { api, digest } of placed) await tx.place('prod', api, 'eu', digest);
      });
    };
    const small = await place('a');
    const large = await place('b', 'c', 'd', 'e', 'f');
    const revisions = await published();
    expect(revisions.map((revision) => revision.xids)).toEqual([[small], [], [large]]);
    expect(Math.max(...revisions.map(bytesOf))).toBeLessThanOrEqual(LIMITS.bodyBytes);
  });
});
