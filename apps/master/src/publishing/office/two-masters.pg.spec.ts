import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { headName, LIMITS, TrustedKeys, verifyHead } from '#artifacts';
import { until } from '#harness';
import { auditChain, entriesOfRows } from '../../testing/chain-audit.js';
import { type PublishingMaster, signer, startPublishing, unreachable } from '../../testing/publishing-master.js';
import { type DatabaseCopy, PublishingScene } from '../../testing/publishing-scene.js';
import { EPOCH_LEAP } from './fence.js';
import { auditStore } from '../../testing/store-audit.js';

const scene = PublishingScene.forEachTest();
interface Other extends DatabaseCopy {
  master: PublishingMaster;
}

/** Another master on a copy of the database as it is now, with the same store. @param first one that goes on meanwhile */
async function takeOver(first?: PublishingMaster): Promise<Other> {
  const copy = await scene.copy();
  if (first) {
    // to be copied has cost it its connections, and its term
    await until(async () => (await storedEpoch()) === (await ownEpoch()) && first.publishers.standing('prod')?.leader, {
      what: 'the first one to be in office again',
    });
  }
  const master = await copy.start();
  await master.leads('prod');
  return { ...copy, master };
}

async function storedEpoch(): Promise<number> {
  const object = await scene.store.get(headName('prod'), LIMITS.headBytes);
  return object ? verifyHead(object.bytes, 'prod', new TrustedKeys([signer.publicKey])).epoch : 0;
}

async function ownEpoch(): Promise<number> {
  const { rows } = await scene.pool.query<{ epoch: number }>('SELECT epoch FROM chain');
  return rows[0]?.epoch ?? 0;
}

const decide = (pool: pg.Pool, decision: string): Promise<unknown> =>
  pool.query(`UPDATE chain SET decision = $1, decided_by = 'test'`, [decision]);

const fenced = (master: PublishingMaster): Promise<unknown> =>
  until(() => master.publishers.fences.length === 1, { what: 'the replaced master to be told' });

const stored = ({ master }: Pick<Other, 'master'>, revision: number): Promise<unknown> =>
  until(() => master.publishers.standing('prod')?.store?.revision === revision, { what: 'the store to have it' });

/** One master, replaced by another one while it was alive; both have published since. */
async function split(): Promise<{ first: PublishingMaster; other: Other }> {
  const first = await scene.start();
  await scene.publish(2);
  await scene.stored();
  const other = await takeOver(first);
  await until(async () => (await storedEpoch()) > (await ownEpoch()), { what: 'the newer term to show in the store' });
  // the first one does not know yet: whatever it publishes now, no head will ever name
  await scene.writer.write((tx) => tx.plan('prod', 'from-the-first', 1));
  await other.writer.write((tx) => tx.plan('prod', 'from-the-other', 1));
  await fenced(first);
  return { first, other };
}

describe('two masters with split databases and one store', () => {
  it('R10 have one term accepted: the replaced one is told by whom, stops, and is stopped when it comes back', async () => {
    const { first, other } = await split();
    const fence = first.publishers.fences[0]?.fence;
    const epoch = await storedEpoch();
    expect(fence).toMatchObject({ epoch, keyId: signer.keyId.toString('hex') });
    const events = async () => (await scene.pool.query('SELECT type, data FROM event')).rows;
    await until(async () => (await events()).length > 0, { what: 'the event' });
    await other.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await other.drained();
    const { revisions } = await auditChain(other.pool);
    const complete = async (): Promise<boolean> =>
      (await auditStore(scene.store, other.pool)).revision === revisions.length;
    await until(complete, { what: 'the store to have the chain of the other one, and of nobody else' });

    const before = await scene.revision();
    await first.stop();
    const again = await scene.start();
    await fenced(again);
    const type = fence?.reason === 'fork' ? 'chain.fork' : 'master.fenced';
    expect(await events()).toMatchObject([{ type, data: { epoch, reason: fence?.reason } }]); // told once
    await scene.writer.write((tx) => tx.plan('prod', 'late', 1));
    expect(again.publishers.standing('prod')).toMatchObject({ leader: false });
    expect(await scene.revision()).toBe(before);
    expect(await storedEpoch()).toBe(epoch);
    expect(other.master.publishers.fences).toEqual([]);
    const said = first.complaints.filter(({ level }) => level === 50);
    expect(said).toEqual([
      expect.objectContaining({ msg: expect.stringContaining('this master must not publish the environment') }),
    ]);
  });

  it('R10 leave an old master fenced off that was away while the other one worked', async () => {
    await scene.term(2);
    const other = await takeOver();
    await other.writer.write((tx) => tx.plan('prod', 'silver', 1));
    const { epoch } = await other.chain();
    await until(async () => (await storedEpoch()) === epoch, { what: 'the newer term to show in the store' });
    const again = await scene.start();
    await fenced(again);
    expect(again.publishers.fences[0]?.fence).toMatchObject({ reason: 'replaced', epoch });
    await scene.writer.write((tx) => tx.plan('prod', 'late', 1));
    expect(await scene.revision()).toBe(2);
  });

  /** An old master that is cut off from the store, and took office there three times more. */
  async function cutOff(): Promise<{ old: PublishingMaster; back: (how: string) => Promise<PublishingMaster> }> {
    let cut = true;
    const far = unreachable(scene.store, () => cut);
    for (let restart = 0; restart < 3; restart++) {
      const old = await startPublishing(scene.database.url, far);
      await old.leads('prod');
      await old.stop();
    }
    const old = await scene.start(far);
    await old.leads('prod');
    const back = async (how: string): Promise<PublishingMaster> => {
      if (how === 'is started') await old.stop();
      cut = false;
      return how === 'is started' ? scene.start() : old;
    };
    return { old, back };
  }

  it.each(['is started', 'runs on'])(
    'R10 leave an old master fenced off whose terms have newer numbers, when it %s and meets the store again',
    async (how) => {
      await scene.term(2);
      const other = await takeOver();
      await scene.pool.query('UPDATE chain SET epoch = epoch + $1', [3 * EPOCH_LEAP]);
      const { back } = await cutOff();
      await other.writer.write((tx) => tx.plan('prod', 'from-the-other', 1));
      await stored(other, 3);
      expect(await storedEpoch()).toBeLessThan(await ownEpoch());
      await fenced(await back(how));
      expect(await scene.revision()).toBe(2);
      await other.writer.write((tx) => tx.plan('prod', 'still-there', 1));
      await stored(other, 4);
      expect(other.master.publishers.fences).toEqual([]);
      expect((await auditChain(other.pool)).entries).toEqual(await entriesOfRows(other.pool));
    },
  );

  it.each(['is started', 'runs on'])(
    'R10 leave an old master fenced off that took office often without a link, though nothing was published since, when it %s',
    async (how) => {
      await scene.term(2);
      const copy = await scene.copy();
      const { back } = await cutOff();
      const other = await copy.start();
      await other.leads('prod');
      await until(async () => (await storedEpoch()) === (await copy.chain()).epoch, { what: 'its head in the store' });
      const epoch = await storedEpoch();
      expect(epoch).toBeGreaterThan(EPOCH_LEAP);
      await fenced(await back(how));
      expect(await storedEpoch()).toBe(epoch);
      await copy.writer.write((tx) => tx.plan('prod', 'from-the-other', 1));
      await stored({ master: other }, 3);
      expect(other.publishers.fences).toEqual([]);
      expect(await scene.revision()).toBe(2);
    },
  );

  it('go on with the replaced one when an operator discards what the other one did: that one is told', async () => {
    const { first, other } = await split();
    const theirs = await storedEpoch();
    await decide(scene.pool, 'discard-theirs');
    await first.leads('prod');
    await scene.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await until(async () => (await storedEpoch()) > theirs, { what: 'its newer term to show in the store' });
    await other.writer.write((tx) => tx.plan('prod', 'late', 1)); // or it would find out when it signs its head again
    await fenced(other.master);
    await scene.stored();
    expect(await storedEpoch()).toBeGreaterThan(theirs);
    expect((await auditChain(scene.pool)).entries).toEqual(await entriesOfRows(scene.pool));
  });

  it('go on with the replaced one on top of what the other one did when an operator has it adopted', async () => {
    const { first, other } = await split();
    await other.writer.write((tx) => tx.plan('prod', 'silver', 1));
    await other.drained();
    await until(
      async () =>
        (await auditStore(scene.store, other.pool)).revision === (await auditChain(other.pool)).revisions.length,
      { what: 'the store' },
    );
    const theirs = (await auditChain(other.pool)).revisions;
    await other.master.stop();
    await decide(scene.pool, 'adopt');
    await first.leads('prod');
    const chain = await scene.revisions();
    theirs.forEach(({ bytes }, index) => expect(chain[index]?.bytes.equals(bytes)).toBe(true));
    expect(chain.length).toBeGreaterThan(theirs.length);
    // what only the first one knew is published after all
    expect((await auditChain(scene.pool)).entries).toEqual(await entriesOfRows(scene.pool));
    await scene.stored();
  });
});
