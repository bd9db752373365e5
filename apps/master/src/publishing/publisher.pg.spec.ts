import { describe, expect, it } from 'vitest';
import { until } from '#harness';
import { decodeKeyRecord, type Op, TABLE } from '#model';
import { auditChain, entriesOfRows } from '../testing/chain-audit.js';
import { PublishingScene } from '../testing/publishing-scene.js';
import { keyMark } from './marks.js';

const scene = PublishingScene.forEachTest();

const tablesOf = (ops: readonly Op[]): number[] => ops.map(({ table }) => table);

describe('a revision', () => {
  it('carries what one transaction wrote, and what that refers to', async () => {
    await scene.start();
    await scene.writer.api('weather');
    let secret = '';
    let xid = '';
    xid = await scene.writer.write(async (tx) => {
      await tx.client.query(`INSERT INTO plan (id) VALUES ('gold')`); // not marked: the subscription brings it
      const application = await tx.application('app');
      await tx.subscribe('prod', application, 'weather:v1', 'gold');
      ({ secret } = await tx.key('prod', application));
    });
    const [first, ...more] = await scene.revisions();
    expect(more).toEqual([]);
    expect(tablesOf(first?.ops ?? [])).toEqual([TABLE.plan, TABLE.application, TABLE.key]);
    expect(first?.xids).toEqual([xid]);
    expect((await auditChain(scene.pool)).entries).toEqual(await entriesOfRows(scene.pool));
    expect(first?.bytes.includes(secret), 'R11 the secret is not on the chain').toBe(false);
    expect(first?.bytes.includes(secret.split('_')[2] ?? ''), 'R11 nor is its random part').toBe(false);
  });

  it('coalesces what many transactions wrote while nobody published', async () => {
    for (let limit = 1; limit <= 20; limit++) await scene.writer.write((tx) => tx.plan('prod', 'gold', limit));
    await scene.start();
    const [first, ...more] = await scene.revisions();
    expect(more).toEqual([]);
    expect(first?.ops).toHaveLength(1);
    expect(first?.xids).toHaveLength(20);
  });

  it('is not made for a write that changes nothing', async () => {
    const master = await scene.start();
    await scene.writer.write((tx) => tx.plan('prod', 'gold', 5));
    expect(await scene.revisions()).toHaveLength(1);
    const xid = await scene.writer.write((tx) => tx.plan('prod', 'gold', 5));
    expect(await scene.revisions()).toHaveLength(1);
    const said = await until(() => master.published.find(({ xids }) => xids?.has(xid)), {
      what: 'the write to be announced',
    });
    expect(said.revision).toBe(1);
  });

  it('carries a revocation as a record that stays', async () => {
    await scene.start();
    let chainId: Buffer = Buffer.alloc(0);
    await scene.writer.write(async (tx) => {
      ({ chainId } = await tx.key('prod', await tx.application('app')));
    });
    await scene.revisions();
    await scene.writer.write((tx) => tx.revoke('prod', chainId));
    const last = (await scene.revisions()).at(-1);
    expect(tablesOf(last?.ops ?? [])).toEqual([TABLE.key]);
    expect(decodeKeyRecord(last?.ops[0]?.value ?? Buffer.alloc(0)).revoked).toBe(true);
  });

  it('takes an application away together with its keys', async () => {
    await scene.start();
    let application = '';
    await scene.writer.write(async (tx) => {
      application = await tx.application('app');
      await tx.key('prod', application);
      await tx.key('prod', application);
    });
    await scene.revisions();
    await scene.writer.write((tx) => tx.removeApplication('prod', application));
    expect(tablesOf((await scene.revisions()).at(-1)?.ops ?? [])).toEqual([TABLE.application, TABLE.key, TABLE.key]);
    expect((await auditChain(scene.pool)).entries.size).toBe(0);
  });

  it('takes an application away with the last of its keys, whoever marked what', async () => {
    await scene.start();
    const keys: Buffer[] = [];
    await scene.writer.write(async (tx) => {
      const application = await tx.application('app');
      for (let n = 0; n < 2; n++) keys.push((await tx.key('prod', application)).chainId);
    });
    await scene.revisions();
    for (const chainId of keys) {
      await scene.writer.write(async (tx) => {
        await tx.client.query('DELETE FROM api_key WHERE chain_id = $1', [chainId]);
        await tx.mark('prod', keyMark(chainId));
      });
      await scene.revisions();
    }
    const [, second, third] = await scene.revisions();
    expect(tablesOf(second?.ops ?? [])).toEqual([TABLE.key]);
    expect(tablesOf(third?.ops ?? [])).toEqual([TABLE.application, TABLE.key]);
  });

  it('brings a release with its first placement, and takes it away with its last', async () => {
    await scene.start();
    const api = await scene.writer.api('weather');
    const [one, two] = [await scene.writer.release(api, { n: 1 }), await scene.writer.release(api, { n: 2 })];
    await scene.writer.write((tx) => tx.place('prod', api, 'eu', one));
    expect(tablesOf((await scene.revisions()).at(-1)?.ops ?? [])).toEqual([TABLE.release, TABLE.placement]);
    await scene.writer.write((tx) => tx.place('prod', api, 'us', one));
    expect(tablesOf((await scene.revisions()).at(-1)?.ops ?? [])).toEqual([TABLE.placement]);
    await scene.writer.write((tx) => tx.place('prod', api, 'eu', two));
    expect(tablesOf((await scene.revisions()).at(-1)?.ops ?? [])).toEqual([TABLE.release, TABLE.placement]);
    await scene.writer.write((tx) => tx.place('prod', api, 'us', null));
    const last = (await scene.revisions()).at(-1)?.ops ?? [];
    expect(last.map(({ table, value }) => [table, value])).toEqual([
      [TABLE.release, null],
      [TABLE.placement, null],
    ]);
    expect(last[0]?.key).toEqual(one);
  });

  it('is of one environment: a key brings its application to that one only', async () => {
    await scene.writer.environment('staging');
    await scene.start();
    await scene.writer.write(async (tx) => {
      const application = await tx.application('app');
      await tx.key('prod', application);
      await tx.client.query(
        `INSERT INTO outbox (environment_id, table_id, key) SELECT 'staging', table_id, key FROM outbox`,
      );
    });
    expect(await scene.revisions()).toHaveLength(1);
    await scene.drained('staging');
    expect((await auditChain(scene.pool, 'staging')).revisions).toEqual([]);
  });
});

describe('the order of commits', () => {
  it('loses and inverts nothing when a transaction that began earlier commits later', async () => {
    await scene.start();
    const long = await scene.pool.connect();
    await long.query('BEGIN');
    await long.query(`INSERT INTO plan (id) VALUES ('long')`);
    await long.query(`INSERT INTO outbox (environment_id, table_id, key) VALUES ('prod', $1, 'long')`, [TABLE.plan]);
    for (let limit = 1; limit <= 5; limit++) {
      await scene.writer.write((tx) => tx.plan('prod', 'short', limit));
      await until(async () => (await auditChain(scene.pool)).revisions.length === limit, { what: `revision ${limit}` });
    }
    await long.query('COMMIT');
    long.release();
    await until(async () => (await auditChain(scene.pool)).revisions.length === 6, { what: 'the late transaction' });
    expect((await auditChain(scene.pool)).entries).toEqual(await entriesOfRows(scene.pool));
  });

  it('lets a transaction arrive whole when it commits while others are published', async () => {
    await scene.start();
    let done = false;
    const others = (async () => {
      for (let limit = 1; !done; limit++) await scene.writer.write((tx) => tx.plan('prod', 'noise', limit));
    })();
    for (let n = 1; n <= 20; n++) {
      await scene.writer.write(async (tx) => {
        await tx.plan('prod', 'left', n);
        await tx.plan('prod', 'right', n);
      });
    }
    done = true;
    await others;
    for (const { ops } of await scene.revisions()) {
      const changed = ops.map(({ key }) => key.toString()).filter((key) => key !== 'noise');
      expect(['', 'left,right']).toContain(changed.join());
    }
  });
});
