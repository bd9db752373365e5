import { renameSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deltaName, headName } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { until } from '#harness';
import { type Op, TABLE } from '#model';
import { openTables } from '../state/state-database.js';
import { META } from '../state/state-layout.js';
import { Follower } from '../testing/follower.js';
import { gone, keyOp, planOp } from '../testing/sample-ops.js';
import { rootOf, spoil } from '../testing/state-fixture.js';

let f: Follower;
beforeEach(() => {
  f = new Follower();
});
afterEach(() => f.remove());

const HEAD = headName('prod');
const large = (size: number, key = 'large'): Op => ({
  table: TABLE.setting,
  key: Buffer.from(key),
  value: Buffer.alloc(size, 1),
});
const isServed = (op: Op): boolean => {
  const snapshot = f.state.snapshot();
  const value = snapshot.get(op.table, op.key);
  snapshot.close();
  return value !== null && op.value !== null && value.equals(op.value);
};

describe('SyncAgent', () => {
  it('follows the chain from the store: what is published is applied, and the root is the same', async () => {
    f.start();
    await f.chain.publish(f.store, [planOp('gold'), keyOp('a')]);
    await f.reaches(1);
    await f.chain.publish(f.store, [keyOp('a', true), gone(planOp('gold'))]);
    await f.reaches(2);
    expect(isServed(keyOp('a', true))).toBe(true);
    expect(f.state.position.root).toBe(rootOf(f.chain.entries));
    expect(f.agent.sync).toMatchObject({
      state: 'polling',
      head: 2,
      faults: {},
    });
  });

  it('catches up with many revisions at once, some of them too large to be fetched ahead', async () => {
    for (let n = 1; n <= 50; n++) {
      const op = n % 20 === 0 ? large(5_000_000 + n) : keyOp(`k${n}`);
      const sealed = f.chain.seal([op]);
      await f.store.create(deltaName('prod', n), sealed.bytes);
    }
    await f.chain.putHead(f.store);
    f.start();
    await f.reaches(50);
    expect(f.state.position.root).toBe(rootOf(f.chain.entries));
  });

  it('asks for the head by its tag, gets it once, and again only when it was signed anew', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    await until(() => f.looks.length >= 5, { what: 'five looks' });
    expect(f.looks.map(({ answer }) => answer).slice(0, 5)).toEqual(['head', ...Array<string>(4).fill('unchanged')]);
    const expiresAt = f.agent.heads.freshest?.expiresAt;
    await f.chain.putHead(f.store, f.chain.head({ issuedAt: Date.now() + 1, expiresAt: Date.now() + 5000 }));
    await until(() => f.agent.heads.freshest?.expiresAt !== expiresAt, { what: 'the newer head' });
    expect(f.state.head).toEqual(f.agent.heads.freshest);
  });

  it('says that there is no head yet, and that the store is gone, and goes on by itself when it is back', async () => {
    f.start();
    expect(await f.faults('head_missing')).toContain('has no head of the environment prod');
    await f.chain.publish(f.store, [keyOp('a')]);
    await f.reaches(1);
    renameSync(f.storeDirectory, `${f.storeDirectory}.away`);
    await f.faults('store_unreachable');
    expect(f.agent.sync.state).toBe('isolated');
    renameSync(`${f.storeDirectory}.away`, f.storeDirectory);
    await f.chain.publish(f.store, [keyOp('b')]);
    await f.reaches(2);
  });

  it('R7 with nothing reachable it starts with what is on its disk, and stays there', async () => {
    f.start();
    await f.chain.publish(f.store, [keyOp('a')]);
    await f.reaches(1);
    renameSync(f.storeDirectory, `${f.storeDirectory}.away`);
    await f.restart();
    expect(isServed(keyOp('a'))).toBe(true);
    f.start();
    await f.faults('store_unreachable');
    expect(f.agent.sync).toMatchObject({ state: 'isolated', revision: 1, head: 1 });
    renameSync(`${f.storeDirectory}.away`, f.storeDirectory);
  });

  it('waits for a revision that the head names and the store does not have', async () => {
    const sealed = f.chain.seal([keyOp('a')]);
    await f.chain.putHead(f.store);
    f.start();
    expect(await f.faults('revision_missing')).toContain('does not have revision 1');
    await f.store.create(deltaName('prod', 1), sealed.bytes);
    await f.reaches(1);
  });

  it('stops at a revision that needs a newer build, says so, and goes on serving', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    const sealed = f.chain.seal([keyOp('b')], Date.now(), { minReader: 2 });
    await f.store.create(deltaName('prod', 2), sealed.bytes);
    await f.chain.putHead(f.store);
    expect(await f.faults('reader_too_old')).toContain('needs reader version 2');
    expect(f.agent.sync).toMatchObject({ state: 'halted', revision: 1 });
    expect(isServed(keyOp('a'))).toBe(true);
  });

  it('keeps how long the state is fresh across a restart', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    const head = f.agent.heads.freshest;
    await f.restart();
    expect(f.agent.heads.freshest).toEqual(head);
    expect(head?.expiresAt).toBeGreaterThan(Date.now());
  });

  it('R3 a head that goes back is refused, also after a restart: older revision, older epoch, or older signature', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    const old = f.chain.head();
    await f.chain.publish(f.store, [keyOp('b')]);
    f.start();
    await f.reaches(2);
    await f.chain.putHead(f.store, old);
    expect(await f.faults('head_replayed')).toBe('the head names revision 1; revision 2 was seen before');
    await f.restart();
    f.start();
    await f.faults('head_replayed');
    await f.chain.putHead(f.store, f.chain.head({ epoch: 0 }));
    expect(await f.faults('older_epoch')).toContain('epoch 0');
    await f.chain.putHead(f.store, f.chain.head({ issuedAt: 5 }));
    expect(await f.faults('head_replayed')).toContain('ms before the newest one');
    await f.chain.putHead(f.store);
    await f.reaches(2);
  });

  it('accepts a newer revision of a master whose clock was set back, and does not take what it knows for older', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    const fresh = f.agent.heads.freshest;
    const second = f.chain.seal([keyOp('b')]);
    await f.store.create(deltaName('prod', 2), second.bytes);
    await f.chain.putHead(f.store, f.chain.head({ issuedAt: 5 }));
    await f.reaches(2);
    const { issuedAt, expiresAt } = fresh ?? {};
    expect(f.agent.heads.freshest).toMatchObject({ revision: 2, issuedAt, expiresAt });
    const again = f.chain.head({ issuedAt: 6, expiresAt: 7 });
    await f.chain.putHead(f.store, again);
    await until(() => f.state.head?.issuedAt === 6, { what: 'the head that was signed again' });
    expect(f.agent.heads.freshest).toMatchObject({ revision: 2, issuedAt, expiresAt });
  });

  it('R3 what a newer head named is still fetched when an older one is put back', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    const old = f.chain.head();
    const second = f.chain.seal([keyOp('b')]);
    await f.chain.putHead(f.store);
    f.start();
    await f.faults('revision_missing');
    await f.chain.putHead(f.store, old);
    await f.faults('head_replayed');
    await f.store.create(deltaName('prod', 2), second.bytes);
    await until(() => f.agent.sync.revision === 2, { what: 'revision 2' });
    expect(f.agent.sync.faults['head 0']?.code).toBe('head_replayed');
  });
});

describe("a replica's own disk", () => {
  it('that has changed an entry is found out by the next root, mended from a snapshot, and the right value is served', async () => {
    await f.chain.publish(f.store, [keyOp('a'), keyOp('b')]);
    await f.chain.putSnapshot(f.store);
    await f.chain.publish(f.store, [keyOp('c')]);
    f.start();
    await f.reaches(2);
    await f.restart(() => spoil(f.stateDirectory, keyOp('a', true), gone(keyOp('c'))));
    expect([isServed(keyOp('a')), isServed(keyOp('c'))]).toEqual([false, false]);
    f.start();
    await f.chain.publish(f.store, [gone(keyOp('a')), keyOp('d')]);
    await f.reaches(3);
    expect(f.refused).toContain('wrong_root');
    expect([keyOp('b'), keyOp('c'), keyOp('d')].map(isServed)).toEqual([true, true, true]);
    expect(isServed(keyOp('a'))).toBe(false);
    expect(f.state.position).toMatchObject({ root: rootOf(f.chain.entries), repairs: 1 });
    expect(await f.state.findDamage()).toEqual([]);
  });

  it('is looked through now and then: what nobody asked for is found, told and mended, while following goes on', async () => {
    await f.remove();
    f = new Follower({ scrubMs: 20 });
    await f.chain.publish(f.store, [keyOp('a'), keyOp('b')]);
    f.start();
    await f.reaches(1);
    await f.restart(() => spoil(f.stateDirectory, keyOp('a', true)));
    f.start();
    await until(() => f.agent.sync.mend?.tries === 1, { what: 'a try to mend it' });
    expect(await f.faults('state_damaged')).toContain('has no snapshot yet');
    await f.chain.publish(f.store, [keyOp('c')]);
    await until(() => f.agent.sync.revision === 2, { what: 'revision 2' });
    expect(isServed(keyOp('a'))).toBe(false);
    await f.chain.putSnapshot(f.store);
    await f.restart();
    f.start();
    await until(() => f.state.position.repairs === 1, { what: 'the repair' });
    await f.reaches(2);
    expect(isServed(keyOp('a'))).toBe(true);
    expect(f.refused).toEqual([]);
  });

  it('that takes nothing is named as what is wrong while it catches up, and not the source', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    const { meta, root } = openTables(f.stateDirectory, false);
    const position = meta.get(META.position) as Buffer;
    // as another process would that writes to the same state, whose changes are never written over
    meta.putSync(META.position, Buffer.from(position.toString().replace('"epoch":1', '"epoch":9')));
    for (let n = 2; n <= 128; n++) await f.store.create(deltaName('prod', n), f.chain.seal([keyOp(`k${n}`)]).bytes);
    await f.chain.putSegments(f.store);
    await f.chain.putHead(f.store);
    expect(await f.faults('state_write_failed')).toContain('another process');
    expect(Object.keys(f.agent.sync.faults)).toEqual(['revision']);
    expect(f.refused).toEqual([]);
    meta.putSync(META.position, position);
    await f.reaches(128);
    expect(f.state.position.root).toBe(rootOf(f.chain.entries));
    await root.close();
  });
});

describe('R4 nothing is applied that is', () => {
  /** Revision 2 is put into the store as `change` makes it, and refused with `code`; then it is put right, and applied. */
  async function refuses(change: (bytes: Buffer) => Buffer, code: string): Promise<void> {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    const before = { ...f.state.position };
    const sealed = f.chain.seal([keyOp('a', true), keyOp('b')]);
    await f.store.create(deltaName('prod', 2), change(Buffer.from(sealed.bytes)));
    await f.chain.putHead(f.store);
    expect(await f.faults(code)).toMatch(/^(revision |prod\/delta\/0*)2: /);
    expect(f.refused).toContain(code);
    expect(f.state.position).toEqual(before);
    expect(isServed(keyOp('a'))).toBe(true);
    f.overwrite(deltaName('prod', 2), sealed.bytes);
    await f.reaches(2);
    expect(isServed(keyOp('a', true))).toBe(true);
  }
  const flip = (bytes: Buffer, at: number): Buffer => {
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    return bytes;
  };

  it('altered in its header', () => refuses((bytes) => flip(bytes, 20), 'bad_signature'));
  it('altered in its body', () => refuses((bytes) => flip(bytes, bytes.length - 1), 'bad_hash'));
  it('cut short in its body', () => refuses((bytes) => bytes.subarray(0, bytes.length - 1), 'truncated'));
  it('cut short in its header', () => refuses((bytes) => bytes.subarray(0, 100), 'truncated'));
  it('empty', () => refuses(() => Buffer.alloc(0), 'truncated'));
  it('longer than it says', () => refuses((bytes) => Buffer.concat([bytes, Buffer.of(0)]), 'truncated'));
  it('of another environment', () => {
    const other = new ChainMaker('staging', 1, f.chain.signer);
    other.seal([keyOp('a')]);
    return refuses(() => other.seal([keyOp('b')]).bytes, 'wrong_environment');
  });
  it('signed by a key that is not trusted', () => {
    const stranger = new ChainMaker();
    stranger.seal([keyOp('a')]);
    return refuses(() => stranger.seal([keyOp('b')]).bytes, 'untrusted_key');
  });
  it('of an older epoch', async () => {
    f.chain.position.epoch = 2;
    const older = new ChainMaker('prod', 1, f.chain.signer);
    older.seal([keyOp('a')]);
    await refuses(() => older.seal([keyOp('b')]).bytes, 'older_epoch');
  });
  it('of another history', () => {
    const twin = new ChainMaker('prod', 1, f.chain.signer);
    twin.seal([keyOp('x')]);
    return refuses(() => twin.seal([keyOp('b')]).bytes, 'wrong_previous');
  });

  it('in another order', async () => {
    const [first, second] = [f.chain.seal([keyOp('a')]), f.chain.seal([keyOp('a', true)])];
    await f.store.create(deltaName('prod', 1), second.bytes);
    await f.store.create(deltaName('prod', 2), first.bytes);
    await f.chain.putHead(f.store);
    f.start();
    expect(await f.faults('wrong_revision')).toBe('revision 1: it is revision 2; the next one is 1');
    expect(f.state.position.revision).toBe(0);
  });

  it('not what the head names, although it fits and is signed', async () => {
    const twin = new ChainMaker('prod', 1, f.chain.signer);
    await f.store.create(deltaName('prod', 1), twin.seal([keyOp('x')]).bytes);
    f.chain.seal([keyOp('a')]);
    await f.chain.putHead(f.store);
    f.start();
    await f.faults('fork');
    expect(f.state.position.revision).toBe(0);
  });

  it('named by a head that is forged, altered, of another environment or no head at all', async () => {
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await f.reaches(1);
    const right = f.chain.head();
    const stranger = new ChainMaker();
    const other = new ChainMaker('staging', 1, f.chain.signer);
    const wrong: [Buffer, string][] = [
      [Buffer.from(right.toString().replace(/"revision":1/, '"revision":2')), 'bad_signature'],
      [stranger.head({ revision: 9 }), 'untrusted_key'],
      [other.head({ revision: 9 }), 'wrong_environment'],
      [right.subarray(0, 100), 'malformed'],
      [Buffer.alloc(0), 'malformed'],
      [Buffer.alloc(5000, 'a'), 'store_too_large'],
      [f.chain.head({ hash: 'ab'.repeat(32) }), 'fork'],
    ];
    for (const [bytes, code] of wrong) {
      f.overwrite(HEAD, bytes);
      await f.faults(code);
      const looks = f.looks.length;
      await until(() => f.looks.length > looks + 1 || code === 'store_too_large', { what: 'another look' });
      await f.faults(code);
      expect(f.agent.sync).toMatchObject({ revision: 1, head: 1 });
      expect(isServed(keyOp('a'))).toBe(true);
    }
    f.overwrite(HEAD, f.chain.head());
    await f.reaches(1);
  });
});
