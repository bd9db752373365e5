import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { headName, LIMITS, openStore, TrustedKeys, verifyHead } from '#artifacts';
import { until } from '#harness';
import { decodeKeyRecord, TABLE } from '#model';
import { cutStandby, promote, type Server, startServer, startStandby } from '../../../../../test/harness/standby.js';
import { migrate } from '../../database/data-source.js';
import { auditChain, entriesOfRows } from '../../testing/chain-audit.js';
import { ChainWriter } from '../../testing/chain-writer.js';
import { openPool, signer, startPublishing } from '../../testing/publishing-master.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

function opening<T extends { stop(): Promise<void> }>(thing: T): T {
  opened.push(() => thing.stop());
  return thing;
}

const identityOf = (server: Server): Promise<Record<string, unknown>[]> => server.run('SELECT database_id FROM chain');

describe('a standby that was behind when it was promoted', () => {
  it('R1 R3 R9 R10 takes over what it never got, gives no key back, and the old master is fenced off when it returns', async () => {
    const primary = opening(await startServer());
    await migrate(primary.url);
    const standby = opening(await startStandby(primary));
    const directory = join(mkdtempSync(join(tmpdir(), 'helio-store-')), 'store');
    mkdirSync(directory);
    opened.push(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
    const store = openStore(`file://${directory}`);
    const pool = openPool(primary.url);
    const writer = new ChainWriter(pool);
    opened.push(() => pool.end());
    await writer.environment('prod');
    const old = opening(await startPublishing(primary.url, store, { instance: 'old' }));
    const drained = (on: typeof pool): Promise<unknown> =>
      until(async () => (await on.query('SELECT FROM outbox')).rowCount === 0, { what: 'the markers to be taken' });
    const headOf = async () => {
      const object = await store.get(headName('prod'), LIMITS.headBytes);
      return object && verifyHead(object.bytes, 'prod', new TrustedKeys([signer.publicKey]));
    };
    const stored = async (on: typeof pool): Promise<unknown> => {
      const last = (await auditChain(on)).revisions.length;
      return until(async () => (await headOf())?.revision === last, { what: `the store to have revision ${last}` });
    };

    let revoked: Buffer = Buffer.alloc(0);
    let kept: Buffer = revoked;
    await writer.write(async (tx) => {
      const application = await tx.application('ann');
      revoked = (await tx.key('prod', application)).chainId;
      kept = (await tx.key('prod', application)).chainId;
    });
    await drained(pool);
    const caughtUp = async (): Promise<boolean> => {
      const [row] = await standby.run(`SELECT revision::int AS revision FROM chain`);
      return row?.revision === 1;
    };
    await until(caughtUp, { what: 'the standby to have the first revision' });
    await cutStandby(standby);
    await writer.write((tx) => tx.revoke('prod', revoked));
    await drained(pool);
    await writer.write((tx) => tx.plan('prod', 'gold', 1));
    await drained(pool);
    await stored(pool);
    const before = (await auditChain(pool)).revisions;
    const identity = await identityOf(primary);
    // the machine is gone; its disk will come back
    await old.crash();

    await promote(standby);
    const promoted = openPool(standby.url);
    opened.push(() => promoted.end());
    const master = opening(await startPublishing(standby.url, store, { instance: 'new' }));
    await master.leads('prod');
    await new ChainWriter(promoted).write((tx) => tx.plan('prod', 'silver', 1));
    await drained(promoted);
    const { revisions, entries } = await auditChain(promoted);
    before.forEach(({ bytes }, index) => expect(revisions[index]?.bytes.equals(bytes)).toBe(true));
    expect(entries).toEqual(await entriesOfRows(promoted));
    expect(await identityOf(standby)).not.toEqual(identity);
    for (const { ops } of revisions.slice(1)) {
      for (const { key, value } of ops.filter((op) => op.table === TABLE.key && op.key.equals(revoked)))
        expect(value && decodeKeyRecord(value).revoked, key.toString('hex')).toBe(true);
    }
    const { rows } = await promoted.query('SELECT chain_id FROM api_key WHERE revoked_at IS NULL');
    expect(rows).toEqual([{ chain_id: kept }]);
    await stored(promoted);

    const back = opening(await startPublishing(primary.url, store, { instance: 'old, again' }));
    await until(() => back.publishers.fences.length === 1, { what: 'the old master to be fenced off' });
    await writer.write((tx) => tx.plan('prod', 'late', 1));
    expect((await auditChain(pool)).revisions).toHaveLength(before.length);
    expect(master.publishers.fences).toEqual([]);
  });
});
