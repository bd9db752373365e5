import { describe, expect, it } from 'vitest';
import {
  decodeHeader,
  headName,
  LIMITS,
  newSigningKeyPem,
  type Signer,
  signerFromPem,
  TrustedKeys,
  verifyHead,
} from '#artifacts';
import { until } from '#harness';
import { type PublishingMaster, signer } from '../testing/publishing-master.js';
import { PublishingScene } from '../testing/publishing-scene.js';
import { PublishingHealth } from './publishing-health.js';

const scene = PublishingScene.forEachTest();
const stranger = signerFromPem(newSigningKeyPem());

const startStranger = async (): Promise<PublishingMaster> => {
  const master = await scene.start(scene.store, { signer: stranger, instance: 'stranger' });
  await until(() => master.publishers.standing('prod')?.keyRefused, { what: 'its key to be refused' });
  return master;
};

const storedHead = async () => {
  const object = await scene.store.get(headName('prod'), LIMITS.headBytes);
  return object && verifyHead(object.bytes, 'prod', new TrustedKeys([signer.publicKey, stranger.publicKey]));
};
const stored = async (by: Signer): Promise<unknown> => {
  const revision = await scene.revision();
  const complete = async (): Promise<boolean> => {
    const head = await storedHead();
    return head?.revision === revision && head.keyId === by.keyId.toString('hex');
  };
  return until(complete, { what: 'the store to have the whole chain' });
};

describe('a signing key that was announced', () => {
  it('signs as soon as a master with it leads, without a gap; the one before it, once retired, never again', async () => {
    const first = await scene.start();
    await scene.publish(2);
    await scene.announceKeys(signer.publicKey, stranger.publicKey);
    await scene.drained();
    await stored(signer);
    const next = await scene.start(scene.store, { signer: stranger, instance: 'next' });
    await scene.publish(1); // still by the first one
    expect(next.publishers.refused).toEqual([]);
    await first.stop();
    await next.leads('prod');
    await scene.publish(1);
    await scene.retireKey(signer.publicKey);
    await scene.drained();
    await scene.publish(1);
    await stored(stranger);
    const revisions = await scene.revisions(); // verified as a replica does, that knew the first key only
    const keyIds = revisions.map(({ bytes }) => decodeHeader(bytes).header.keyId.toString('hex'));
    const [one, other] = [signer, stranger].map(({ keyId }) => keyId.toString('hex'));
    expect(keyIds).toEqual([one, one, one, one, other, other, other]);
    expect(next.publishers.fences).toEqual([]);

    const late = await scene.start();
    await until(() => late.publishers.refused.length === 1, { what: 'the retired key to be refused' });
    await next.stop();
    await scene.writer.write((tx) => tx.plan('prod', 'silver', 1));
    expect(late.publishers.standing('prod')?.error).toContain(`signed with the key ${other}`);
    expect(await scene.revision()).toBe(revisions.length);
  });

  it('does not sign before the chain says that it is trusted', async () => {
    const first = await scene.start();
    await scene.publish(1);
    await first.stop();
    await scene.announceKeys(signer.publicKey, stranger.publicKey); // nobody publishes it yet
    await startStranger();
    expect(await scene.revision()).toBe(1);
  });
});

describe('a master with another signing key', () => {
  it('never publishes, says why, and is in the way of nobody: the chain goes on with the key that it began with', async () => {
    const first = await scene.start();
    await scene.publish(2);
    const newcomer = await startStranger();
    await first.crash();
    await scene.writer.write((tx) => tx.plan('prod', 'silver', 1));
    const late = await startStranger(); // nobody leads when this one tries

    for (const master of [newcomer, late]) {
      const standing = master.publishers.standing('prod');
      expect(standing).toMatchObject({ leader: false, store: null });
      expect(standing?.error).toContain(`is signed with the key ${signer.keyId.toString('hex')}`);
      expect(standing?.error).toContain(`of this master is the key ${stranger.keyId.toString('hex')}`);
      expect(standing?.error).toContain('start this master with the key that signed the chain');
      const health = new PublishingHealth(master.options, master.publishers);
      expect(health.refused).toEqual(['prod']);
      expect((await health.environments())[0]).toMatchObject({ epoch: 1, revision: 2, error: standing?.error });
      const errors = master.complaints.filter(({ level }) => level === 50);
      expect(errors.map(({ cause }) => cause)).toEqual([standing?.error]);
      expect(master.published.filter(({ revision }) => revision > 2)).toEqual([]);
    }

    const right = await scene.start();
    await right.leads('prod');
    const chain = await scene.revisions(); // verified from 1 on, by the one key
    expect(chain.map(({ epoch }) => epoch)).toEqual([1, 1, 2]);
    await scene.stored();
    expect(new PublishingHealth(right.options, right.publishers).refused).toEqual([]);
  });

  it('is refused also where nothing was published yet: the first term has shown the store its key', async () => {
    const first = await scene.start();
    await first.leads('prod');
    await scene.stored();
    await first.stop();
    await scene.writer.write((tx) => tx.plan('prod', 'gold', 1));
    await startStranger();
    expect(await scene.revision()).toBe(0);
    await scene.start();
    expect(await scene.revisions()).toHaveLength(1);
  });
});
