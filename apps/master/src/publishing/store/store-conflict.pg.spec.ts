import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  deltaName,
  GENESIS_HASH,
  headName,
  newSigningKeyPem,
  StateRoot,
  sealHead,
  sealRevision,
  signerFromPem,
} from '#artifacts';
import { until } from '#harness';
import { encodeText, TABLE } from '#model';
import { type PublishingMaster, signer } from '../../testing/publishing-master.js';
import { PublishingScene } from '../../testing/publishing-scene.js';

const scene = PublishingScene.forEachTest();

/** Waits until the master says in log and standing that another one has taken its place. */
async function fencedOff(master: PublishingMaster, text: string): Promise<void> {
  const said = (): boolean =>
    (master.publishers.standing('prod')?.fence?.detail.includes(text) ?? false) &&
    master.complaints.filter(({ level, cause }) => level === 50 && String(cause).includes(text)).length === 1;
  await until(said, { what: `it to say ${text}` });
}

/** Waits until the master says in log and standing that the store is not its own. */
async function conflict(master: PublishingMaster, text: string): Promise<void> {
  const said = (): boolean =>
    master.publishers.standing('prod')?.store?.state === 'conflict' &&
    master.complaints.some(({ level, cause }) => level === 50 && String(cause).includes(text));
  await until(said, { what: `it to say ${text}` });
}

describe('a store that holds another chain', () => {
  const other = signerFromPem(newSigningKeyPem());
  const head = (fields: { epoch?: number; revision?: number; hash?: string }, by = signer): Buffer =>
    sealHead(
      {
        environment: 'prod',
        epoch: 1,
        revision: 0,
        hash: '00'.repeat(32),
        root: '00'.repeat(32),
        snapshot: null,
        issuedAt: 0,
        expiresAt: 1,
        ...fields,
      },
      by,
    );
  const put = (bytes: Buffer): void => {
    mkdirSync(join(scene.directory, 'prod'), { recursive: true });
    writeFileSync(join(scene.directory, headName('prod')), bytes);
  };

  const begin = async (foreign: Buffer): Promise<PublishingMaster> => {
    const first = await scene.start();
    await scene.publish(2);
    await first.stop();
    rmSync(join(scene.directory, 'prod'), { recursive: true, maxRetries: 10, force: true });
    put(foreign);
    return scene.start();
  };
  const untouched = (foreign: Buffer): void => {
    expect(readdirSync(join(scene.directory, 'prod'))).toEqual(['head.json']);
    expect(readFileSync(join(scene.directory, headName('prod'))).equals(foreign)).toBe(true);
  };

  it.each([
    ['of a newer epoch', head({ epoch: 9 }), 'epoch 9'],
    ['of an epoch of the same number', head({ epoch: 2 }), 'epoch 2'],
    ['ahead, and of a newer epoch', head({ epoch: 9, revision: 7 }), 'at revision 7'],
    ['ahead, and of an older epoch, in the database of before', head({ revision: 7 }), 'at revision 7'],
    ['of another history', head({ revision: 1, hash: 'ab'.repeat(32) }), 'two different chains'],
  ])('ends publishing when its head is %s', async (_, foreign, text) => {
    const master = await begin(foreign);
    await fencedOff(master, text);
    await scene.writer.write((tx) => tx.plan('prod', 'silver', 1));
    const late = await scene.start(); // learns it from the database, whoever holds the lock
    await until(() => late.publishers.fences.length === 1, { what: 'the other master to know' });
    expect(await scene.revision()).toBe(2);
    untouched(foreign);
  });

  it('is not written to when its head is of a stranger, which proves nothing', async () => {
    const foreign = head({}, other);
    const master = await begin(foreign);
    await conflict(master, 'not trusted');
    await scene.publish(1);
    untouched(foreign);
  });

  it('takes everything again when the foreign head is gone', async () => {
    const master = await begin(head({ epoch: 9 }));
    await fencedOff(master, 'epoch 9');
    rmSync(join(scene.directory, 'prod'), { recursive: true, maxRetries: 10 });
    await master.leads('prod');
    expect(master.publishers.fences).toEqual([]);
    await scene.publish(1);
    await scene.stored();
  });

  it('is not written to when it gets such a head while the master runs', async () => {
    const master = await scene.start();
    await scene.publish(2);
    await scene.stored();
    const foreign = head({ epoch: 9, revision: 2 });
    put(foreign);
    await scene.publish(1);
    await fencedOff(master, 'epoch 9');
    await scene.writer.write((tx) => tx.plan('prod', 'silver', 1));
    expect(await scene.revision()).toBe(3);
    expect(readFileSync(join(scene.directory, headName('prod'))).equals(foreign)).toBe(true);
  });

  it('is not written to when a delta is a revision of another chain', async () => {
    const position = { environment: 'prod', epoch: 1, revision: 0, hash: GENESIS_HASH };
    const { bytes } = sealRevision(
      position,
      [{ table: TABLE.plan, key: encodeText('other'), value: encodeText('{}') }],
      StateRoot.empty().root(),
      0,
      signer,
    );
    mkdirSync(join(scene.directory, 'prod', 'delta'), { recursive: true });
    writeFileSync(join(scene.directory, deltaName('prod', 1)), bytes);
    const master = await scene.start();
    await scene.publish(1);
    await conflict(master, 'holds another revision 1');
    expect(readFileSync(join(scene.directory, deltaName('prod', 1))).equals(bytes)).toBe(true);
  });
});
