import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { decodeHeader, newSigningKeyPem, signerFromPem, TrustedKeys, verifyHead } from '#artifacts';
import { until } from '#harness';
import { decodeTrustedKeys, TABLE } from '#model';
import { type PublishingMaster, signer, unreachable } from '../../testing/publishing-master.js';
import { type DatabaseCopy, PublishingScene } from '../../testing/publishing-scene.js';
import { StreamChain } from '../../stream/stream-chain.js';
import { ChainObjects } from '../chain/chain-objects.js';
import { PublishingHealth } from '../publishing-health.js';
import { keyIdText } from './trust.js';

const scene = PublishingScene.forEachTest();
const next = signerFromPem(newSigningKeyPem());

/** Whom the chain trusts, and what the rows say of each key. */
async function keysOf(pool: pg.Pool): Promise<{ chain: string[] | null; active: string[]; retired: string[] }> {
  const { rows } = await pool.query<{ value: Buffer }>(
    `SELECT value FROM published_entry WHERE table_id = ${TABLE.setting}`,
  );
  const keys = await pool.query<{ key: string; retired: boolean }>(
    'SELECT public_key AS key, retired_at IS NOT NULL AS retired FROM signing_key',
  );
  const named = (retired: boolean) => keys.rows.filter((row) => row.retired === retired).map(({ key }) => key);
  return { chain: rows[0] ? decodeTrustedKeys(rows[0].value) : null, active: named(false), retired: named(true) };
}

const afterRotation = { chain: [next.publicKey], active: [next.publicKey], retired: [signer.publicKey] };

/** A rotation from the first key to the next one, with a backup of the database as it was at some place in it. */
async function rotate(backupAt: 'before announcing' | 'before retiring'): Promise<DatabaseCopy> {
  await scene.term(2);
  const early = backupAt === 'before announcing' ? await scene.copy() : null;
  const second = await scene.start();
  await second.leads('prod');
  await scene.announceKeys(signer.publicKey, next.publicKey);
  await scene.drained();
  await scene.stored();
  await second.stop();
  const restored = early ?? (await scene.copy());
  const third = await scene.start(scene.store, { signer: next, instance: 'next' });
  await third.leads('prod');
  await scene.retireKey(signer.publicKey);
  await scene.drained();
  await scene.publish(1);
  const newest = await scene.revision();
  await until(() => third.publishers.standing('prod')?.store?.revision === newest, { what: 'the store to have it' });
  await third.stop();
  return restored;
}

/** Goes on, and does not undo the rotation. */
async function goesOn(restored: DatabaseCopy, master: PublishingMaster): Promise<void> {
  const { pool, writer } = restored;
  await master.leads('prod');
  await writer.write((tx) => tx.plan('prod', 'silver', 1));
  await restored.drained();
  expect(await keysOf(pool)).toEqual(afterRotation);
  const { rows } = await pool.query<{ bytes: Buffer }>('SELECT bytes FROM revision ORDER BY revision DESC LIMIT 1');
  expect(decodeHeader(rows[0]?.bytes ?? Buffer.alloc(0)).header.keyId).toEqual(next.keyId);
  const kept = await pool.query(`SELECT target FROM restore_item WHERE kind = 'kept' AND what = 'signing-key'`);
  expect(kept.rows).toEqual([{ target: `signing-key/${keyIdText(signer.publicKey)}` }]);
}

describe('a restore after a rotation of the signing key', () => {
  it.each(['before announcing', 'before retiring'] as const)(
    'R9 leaves the retired key retired, and goes on with the new one: from a backup of %s',
    async (at) => {
      const restored = await rotate(at);
      await goesOn(restored, await restored.start(scene.store, { signer: next }));
    },
  );

  it('takes over with the old key what it has forgotten, and leaves publishing to the new one', async () => {
    const restored = await rotate('before announcing');
    const old = await restored.start(scene.store, { signer: signer });
    await until(() => old.publishers.refused.length === 1, { what: 'the old key to be refused' });
    expect(old.publishers.standing('prod')?.leader).toBe(false);
    await old.stop();
    await goesOn(restored, await restored.start(scene.store, { signer: next }));
  });

  it('does not publish with a key that nothing of what was forgotten announces', async () => {
    const restored = await rotate('before retiring');
    const master = await restored.start(scene.store, { signer: signerFromPem(newSigningKeyPem()) });
    await until(() => master.publishers.refused.length === 1, { what: 'it to be refused' });
    const { rows } = await restored.pool.query<{ public_key: string }>('SELECT public_key FROM chain');
    expect([signer.publicKey, next.publicKey]).toContain(rows[0]?.public_key);
  });
});

describe('a database that may have forgotten something', () => {
  it('R3 signs heads for the term that published last, until it has found out', async () => {
    await scene.term(2);
    const restored = await scene.copy();
    const master = await restored.start(unreachable(scene.store));
    const epoch = async () => (await restored.chain()).epoch;
    await until(async () => (await epoch()) === 2, { what: 'it to take office' });
    const objects = new ChainObjects(master.options, new PublishingHealth(master.options, master.publishers));
    const head = verifyHead(
      (await objects.head('prod'))?.bytes ?? Buffer.alloc(0),
      'prod',
      new TrustedKeys([signer.publicKey]),
    );
    expect(head).toMatchObject({ epoch: 1, revision: 2 });
    expect(await new StreamChain(master.options.query).standing('prod')).toMatchObject({ epoch: 1, revision: 2 });
    await restored.pool.query(`UPDATE chain SET decision = 'proceed'`);
    await master.leads('prod');
    expect(await new StreamChain(master.options.query).standing('prod')).toMatchObject({ epoch: await epoch() });
  });
});
