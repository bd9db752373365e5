import type pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import {
  decodeHeader,
  newSigningKeyPem,
  type Signer,
  signerFromPem,
  StoreError,
  TrustedKeys,
  verifyHead,
} from '#artifacts';
import { copyDatabase, type FreshDatabase, until } from '#harness';
import { decodeTrustedKeys, TABLE } from '#model';
import { ChainWriter } from '../../testing/chain-writer.js';
import {
  interposed,
  openPool,
  type PublishingMaster,
  signer,
  startPublishing,
} from '../../testing/publishing-master.js';
import { PublishingScene } from '../../testing/publishing-scene.js';
import { StreamChain } from '../../stream/stream-chain.js';
import { ChainObjects } from '../chain/chain-objects.js';
import { trustedKeysMark } from '../marks.js';
import { PublishingHealth } from '../publishing-health.js';
import { keyIdText } from './trust.js';

const scene = PublishingScene.forEachTest();
const opened: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const next = signerFromPem(newSigningKeyPem());

interface Restored {
  database: FreshDatabase;
  pool: pg.Pool;
  writer: ChainWriter;
}

async function backup(): Promise<Restored> {
  const database = await copyDatabase(scene.database.url);
  const pool = openPool(database.url);
  opened.push(
    () => database.drop(),
    () => pool.end(),
  );
  return { database, pool, writer: new ChainWriter(pool) };
}

async function startOn({ database }: Restored, key: Signer, store = scene.store): Promise<PublishingMaster> {
  const master = await startPublishing(database.url, store, { instance: 'restored', signer: key });
  opened.push(() => master.stop());
  return master;
}

const announce = (...keys: string[]): Promise<unknown> =>
  scene.writer.write(async (tx) => {
    for (const key of keys)
      await tx.client.query(`INSERT INTO signing_key (public_key, key_id, added_by) VALUES ($1, $2, 'test')`, [
        key,
        keyIdText(key),
      ]);
    await tx.mark('prod', trustedKeysMark);
  });
const retire = (key: string): Promise<unknown> =>
  scene.writer.write(async (tx) => {
    await tx.client.query(`UPDATE signing_key SET retired_at = now(), retired_by = 'test' WHERE public_key = $1`, [
      key,
    ]);
    await tx.mark('prod', trustedKeysMark);
  });

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
async function rotate(backupAt: 'before announcing' | 'before retiring'): Promise<Restored> {
  const first = await scene.start();
  await scene.publish(2);
  await scene.stored();
  await first.stop();
  const early = backupAt === 'before announcing' ? await backup() : null;
  const second = await scene.start();
  await second.leads('prod');
  await announce(signer.publicKey, next.publicKey);
  await scene.drained();
  await scene.stored();
  await second.stop();
  const restored = early ?? (await backup());
  const third = await scene.start(scene.store, { signer: next, instance: 'next' });
  await third.leads('prod');
  await retire(signer.publicKey);
  await scene.drained();
  await scene.publish(1);
  const newest = await scene.revision();
  await until(() => third.publishers.standing('prod')?.store?.revision === newest, { what: 'the store to have it' });
  await third.stop();
  return restored;
}

/** Goes on, and does not undo the rotation. */
async function goesOn({ pool, writer }: Restored, master: PublishingMaster): Promise<void> {
  await master.leads('prod');
  await writer.write((tx) => tx.plan('prod', 'silver', 1));
  await until(async () => (await pool.query('SELECT FROM outbox')).rowCount === 0, { what: 'the markers' });
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
      await goesOn(restored, await startOn(restored, next));
    },
  );

  it('takes over with the old key what it has forgotten, and leaves publishing to the new one', async () => {
    const restored = await rotate('before announcing');
    const old = await startOn(restored, signer);
    await until(() => old.publishers.refused.length === 1, { what: 'the old key to be refused' });
    expect(old.publishers.standing('prod')?.leader).toBe(false);
    await old.stop();
    await goesOn(restored, await startOn(restored, next));
  });

  it('does not publish with a key that nothing of what was forgotten announces', async () => {
    const restored = await rotate('before retiring');
    const master = await startOn(restored, signerFromPem(newSigningKeyPem()));
    await until(() => master.publishers.refused.length === 1, { what: 'it to be refused' });
    const { rows } = await restored.pool.query<{ public_key: string }>('SELECT public_key FROM chain');
    expect([signer.publicKey, next.publicKey]).toContain(rows[0]?.public_key);
  });
});

describe('a database that may have forgotten something', () => {
  it('R3 signs heads for the term that published last, until it has found out', async () => {
    const first = await scene.start();
    await scene.publish(2);
    await scene.stored();
    await first.stop();
    const restored = await backup();
    const away = interposed(scene.store, () =>
      Promise.reject(new StoreError('store_unreachable', 'the store is away')),
    );
    const master = await startOn(restored, signer, away);
    const epoch = async () => (await restored.pool.query<{ epoch: number }>('SELECT epoch FROM chain')).rows[0]?.epoch;
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
