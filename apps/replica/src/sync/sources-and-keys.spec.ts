import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ArtifactStore,
  deltaName,
  newSigningKeyPem,
  openStore,
  type SealedRevision,
  type Signer,
  signerFromPem,
} from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { until } from '#harness';
import { encodeTrustedKeys, type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { Follower } from '../testing/follower.js';
import { keyOp } from '../testing/sample-ops.js';
import { rootOf, temporaryDirectory } from '../testing/state-fixture.js';
import { StoreSource } from './revision-source.js';

let f: Follower;
beforeEach(() => {
  f = new Follower();
});
afterEach(() => f.remove());

describe('with a second source', () => {
  let second: ArtifactStore;
  const both = async (sealed: SealedRevision): Promise<void> => {
    for (const store of [f.store, second]) await store.create(deltaName('prod', sealed.header.revision), sealed.bytes);
  };
  beforeEach(async () => {
    await f.remove();
    second = openStore(pathToFileURL(temporaryDirectory()).href, { create: true });
    f = new Follower({ others: [new StoreSource(second, 'prod', 'peer')] });
  });

  it('does not wait for a first one that stands still, however fresh the other one is, and says so', async () => {
    await both(f.chain.seal([keyOp('a')]));
    await f.chain.putHead(f.store, f.chain.head({ issuedAt: Date.now() - 120_000, expiresAt: Date.now() - 30_000 }));
    await f.chain.putHead(second);
    f.start();
    for (const secret of ['b', 'c', 'd']) {
      await both(f.chain.seal([keyOp(secret)]));
      await f.chain.putHead(second);
      const { revision } = f.chain.position;
      await until(() => f.state.position.revision === revision, { what: `revision ${revision}`, every: 5 });
      expect(f.agent.sync.faults['head 0']?.code).toBe('frozen');
    }
  });

  it('R10 follows no fork any further, by a long way or after a restart, until a master has taken a newer term', async () => {
    const other = new ChainMaker('prod', 1, f.chain.signer);
    for (let n = 1; n <= 4; n++) {
      await f.chain.publish(f.store, [keyOp(`k${n}`)]);
      const { bytes } = other.seal([keyOp(n < 3 ? `k${n}` : `other${n}`)], 1000);
      await second.create(deltaName('prod', n), bytes);
    }
    f.start();
    await f.reaches(4);
    await f.chain.putHead(f.store, Buffer.from('{}'));
    await f.chain.putHead(second, other.head());
    await f.faults('fork');
    await until(() => f.state.head?.forkedEpoch === 1, { what: 'the fork to be kept' });
    await f.restart();
    for (let n = 5; n <= 104; n++) await f.store.create(deltaName('prod', n), f.chain.seal([keyOp(`later${n}`)]).bytes);
    await f.chain.putHead(f.store);
    f.start();
    await until(() => f.agent.sync.faults.revision?.code === 'fork', { what: 'the fork to be refused', every: 5 });
    expect(f.state.position.revision).toBe(4);
    await f.store.create(deltaName('prod', 105), f.chain.seal([keyOp('newer')], Date.now(), { epoch: 2 }).bytes);
    await f.chain.putHead(f.store);
    await until(() => f.state.position.revision === 105, { what: 'revision 105', every: 5 });
  });

  it('R10 a few revisions behind a fork follows the one that a newer term has chosen, and not before', async () => {
    const other = new ChainMaker('prod', 1, f.chain.signer);
    await f.chain.publish(f.store, [keyOp('a')]);
    await second.create(deltaName('prod', 1), other.seal([keyOp('other')]).bytes);
    f.start();
    await f.reaches(1);
    await f.chain.putHead(f.store, Buffer.from('{}'));
    await f.chain.putHead(second, other.head());
    await f.faults('fork');
    await f.chain.publish(f.store, [keyOp('b')]);
    await until(() => f.agent.sync.faults.revision?.code === 'fork', { what: 'the fork to be refused', every: 5 });
    expect(f.state.position.revision).toBe(1);
    const chosen = f.chain.seal([keyOp('newer')], Date.now(), { epoch: 2 });
    await f.store.create(deltaName('prod', 3), chosen.bytes);
    await f.chain.putHead(f.store);
    await until(() => f.state.position.revision === 3, { what: 'the way to the head of the newer term', every: 5 });
    expect(f.state.position).toMatchObject({ epoch: 2, root: rootOf(f.chain.entries) });
  });

  it('says where a fork begins by what was signed, and nothing by what was not', async () => {
    const other = new ChainMaker('prod', 1, f.chain.signer);
    const theirs: Buffer[] = [];
    for (let n = 1; n <= 4; n++) {
      await f.store.create(deltaName('prod', n), f.chain.seal([keyOp(`k${n}`)], 1000).bytes);
      theirs.push(other.seal([keyOp(n < 3 ? `k${n}` : `other${n}`)], 1000).bytes);
    }
    await f.chain.putHead(f.store);
    const put = async (bytes: Buffer[]): Promise<void> => {
      for (const [at, one] of bytes.entries()) {
        await second.delete(deltaName('prod', at + 1));
        await second.create(deltaName('prod', at + 1), one);
      }
    };
    await put(theirs.map((bytes) => Buffer.from(bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte)))));
    f.start();
    await f.reaches(4);
    await f.chain.putHead(f.store, Buffer.from('{}'));
    await f.chain.putHead(second, other.head());
    expect(await f.faults('fork')).not.toContain('differs');
    await put(theirs);
    await f.restart();
    f.start();
    expect(await f.faults('fork')).toContain('the first revision that differs is 3');
  });

  it('does not catch up by the head of a term that is over', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    await f.restart();
    await f.chain.putHead(second, f.chain.head({ epoch: 2 }));
    await f.chain.putHead(f.store, Buffer.from('{}'));
    f.start();
    await until(() => f.agent.heads.newest?.epoch === 2, { what: 'the newer head' });
    for (let n = 2; n <= 100; n++) await f.store.create(deltaName('prod', n), f.chain.seal([keyOp(`k${n}`)]).bytes);
    await f.chain.putHead(f.store);
    await f.faults('older_epoch');
    expect(f.state.position.revision).toBe(1);
  });
});

const naming = (...keys: string[]): Op => ({
  table: TABLE.setting,
  key: TRUSTED_KEYS_SETTING,
  value: encodeTrustedKeys(keys),
});

describe('a replica that was away while the keys of the chain were changed, for longer than revisions are kept', () => {
  it('names the remedy, and follows on once it was given the new key beside those that it knows', async () => {
    const next = signerFromPem(newSigningKeyPem());
    await f.chain.publish(f.store, [naming(f.chain.signer.publicKey)]);
    f.start();
    await f.reaches(1);
    await f.restart();
    await f.store.create(deltaName('prod', 2), f.chain.seal([naming(next.publicKey)]).bytes);
    Object.assign(f.chain, { signer: next });
    for (let n = 3; n <= 80; n++) await f.store.create(deltaName('prod', n), f.chain.seal([keyOp(`k${n}`)]).bytes);
    await f.chain.putSnapshot(f.store);
    for (let n = 1; n <= 60; n++) await f.store.delete(deltaName('prod', n));
    f.start();
    expect(await f.faults('untrusted_key')).toContain('HELIO_TRUSTED_KEYS');
    f.configured = [next.publicKey];
    await f.restart();
    f.start();
    await f.reaches(80);
    expect(f.state.position.root).toBe(rootOf(f.chain.entries));
  });

  it('R4 believes no key any more that the chain has dropped, unless an operator says so', async () => {
    const [old, next] = [f.chain.signer, signerFromPem(newSigningKeyPem())];
    await f.chain.publish(f.store, [naming(next.publicKey)]);
    f.start();
    await f.reaches(1);
    await f.chain.publish(f.store, [keyOp('b')]);
    await f.faults('untrusted_key');
    f.configured = [old.publicKey];
    await f.restart();
    f.start();
    await f.reaches(2);
  });
});

describe('R4 a replica with an empty disk that comes after the keys of the chain were changed', () => {
  let next: Signer;
  beforeEach(async () => {
    next = signerFromPem(newSigningKeyPem());
    await f.store.create(deltaName('prod', 1), f.chain.seal([naming(next.publicKey)]).bytes);
    Object.assign(f.chain, { signer: next });
    f.configured = [next.publicKey];
    await f.restart();
  });

  it('refuses the first revisions without a word of alarm, and takes a snapshot', async () => {
    await f.store.create(deltaName('prod', 2), f.chain.seal([keyOp('a')]).bytes);
    await f.chain.putSnapshot(f.store);
    await f.chain.putHead(f.store);
    f.start();
    await f.reaches(2);
    expect(f.state.position.root).toBe(rootOf(f.chain.entries));
    expect([f.refused, f.warned]).toEqual([[], []]);
  });

  it('tells and counts it where there is no snapshot that leads past them', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    expect(await f.faults('untrusted_key')).toContain('is not trusted here');
    await until(() => f.refused.length > 0, { what: 'it to be counted' });
    expect(new Set(f.refused)).toEqual(new Set(['untrusted_key']));
    expect(f.state.position.revision).toBe(0);
  });

  it('tells and counts a head that a stranger has signed', async () => {
    Object.assign(f.chain, { signer: signerFromPem(newSigningKeyPem()) });
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.faults('untrusted_key');
    await until(() => f.refused.includes('untrusted_key'), { what: 'it to be counted' });
    expect(f.state.position.revision).toBe(0);
  });
});
