import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Op, TABLE } from '#model';
import { gone, keyOp, planOp } from '../testing/sample-ops.js';
import { rootOf, StateFixture, temporaryDirectory } from '../testing/state-fixture.js';
import { openStateReader } from './state-reader.js';
import { openTables } from './state-database.js';
import { META } from './state-layout.js';
import { StateStore } from './state-store.js';

let f: StateFixture;
beforeEach(() => {
  f = new StateFixture();
});
afterEach(() => f.end());

const setting = (key: string, value: Buffer | string | null): Op => ({
  table: TABLE.setting,
  key: Buffer.from(key),
  value: typeof value === 'string' ? Buffer.from(value) : value,
});

describe('StateStore', () => {
  it('begins empty, at revision 0 of its environment', () => {
    expect(f.store.position).toMatchObject({ environment: 'prod', epoch: 0, revision: 0, root: rootOf(new Map()) });
    const snapshot = f.store.snapshot();
    expect(snapshot).toMatchObject({ environment: 'prod', epoch: 0, revision: 0 });
    snapshot.close();
  });

  it('holds what the chain says after each revision, puts, changes and deletes alike, and after a restart', async () => {
    await f.apply(planOp('gold'), keyOp('a'), keyOp('b'));
    await f.apply(gone(keyOp('a')), keyOp('b', true), keyOp('c'));
    const before = f.store.position;
    await f.reopen();
    expect(f.store.position).toEqual(before);
    expect(before).toMatchObject({ epoch: 1, revision: 2, root: rootOf(f.chain.entries) });
    expect(f.served(keyOp('a'))).toBeNull();
    expect(f.served(keyOp('b'))).toEqual(keyOp('b', true).value);
    expect(f.served(planOp('gold'))).toEqual(planOp('gold').value);
  });

  it('keeps values of any size as they are, the empty one included, and keys of the largest size', async () => {
    const values = ['', 'x', Buffer.alloc(1000, 1), Buffer.alloc(40_000, 2), Buffer.alloc(3_000_000, 3)].map((value) =>
      Buffer.from(value),
    );
    const ops = values.map((value, index) => setting('k'.repeat(500) + index, value));
    await f.apply(...ops);
    for (const op of ops) {
      const value = f.served(op);
      expect(Buffer.isBuffer(value)).toBe(true);
      expect(value?.equals(op.value as Buffer)).toBe(true);
    }
    const snapshot = f.store.snapshot();
    expect(Array.from(snapshot.entries(TABLE.setting), ({ value }) => value.length)).toEqual(
      values.map((value) => value.length),
    );
    snapshot.close();
  });

  it('lists a table in the order of keys, and nothing of its neighbours', async () => {
    await f.apply(keyOp('a'), planOp('gold'), planOp('bronze'), setting('s', 'v'));
    const snapshot = f.store.snapshot();
    expect(Array.from(snapshot.entries(TABLE.plan), ({ key }) => key.toString())).toEqual(['bronze', 'gold']);
    expect([...snapshot.entries(TABLE.release)]).toEqual([]);
    snapshot.close();
  });

  it('R5 a snapshot stays what it was while revisions are applied, and several of different revisions are open at once', async () => {
    await f.apply(setting('a', '1'));
    const first = f.store.snapshot();
    await f.apply(setting('a', '2'), setting('b', '2'));
    const second = f.store.snapshot();
    await f.apply(gone(setting('a', null)));
    await new Promise(setImmediate);
    const third = f.store.snapshot();
    const seen = [first, second, third].map((snapshot) => [
      snapshot.revision,
      ...Array.from(snapshot.entries(TABLE.setting), ({ key, value }) => `${key}=${value}`),
    ]);
    expect(seen).toEqual([
      [1, 'a=1'],
      [2, 'a=2', 'b=2'],
      [3, 'b=2'],
    ]);
    expect(first.get(TABLE.setting, Buffer.from('b'))).toBeNull();
    for (const snapshot of [second, first, third]) snapshot.close();
    expect(() => first.get(TABLE.setting, Buffer.from('a'))).toThrow('closed');
  });

  it('says what changed since an older revision, each entry once, and null where that is not known any more', async () => {
    await f.apply(setting('a', '1'));
    await f.apply(setting('b', '1'), setting('c', '1'));
    await f.apply(setting('b', '2'), gone(setting('a', null)));
    const snapshot = f.store.snapshot();
    const changes = (revision: number) =>
      snapshot
        .changesSince(revision)
        ?.entries.map(({ table, key }) => `${table} ${key}`)
        .sort();
    expect(changes(3)).toEqual([]);
    expect(changes(2)).toEqual(['8 a', '8 b']);
    expect(changes(1)).toEqual(['8 a', '8 b', '8 c']);
    expect(changes(0)).toEqual(['8 a', '8 b', '8 c']);
    expect(changes(4)).toBeUndefined();
    snapshot.close();
  });

  it('names what is compiled always, and a great many changed keys only as such: a worker stands still while it reads', async () => {
    const keys = Array.from({ length: 2000 }, (_, index) => keyOp(`key ${index}`));
    await f.apply(keyOp('old'));
    await f.apply(planOp('gold'), ...keys);
    await f.apply(planOp('silver'), keyOp('old', true));
    const snapshot = f.store.snapshot();
    const [some, many] = [snapshot.changesSince(2), snapshot.changesSince(1)];
    expect(some).toMatchObject({ complete: true, entries: { length: 2 } });
    expect(many?.complete).toBe(false);
    expect(many?.entries.length).toBeLessThan(1000);
    const plans = many?.entries.filter(({ table }) => table === TABLE.plan).map(({ key }) => key.toString());
    expect(plans).toEqual(['gold', 'silver']);
    snapshot.close();
  });

  it('keeps the deltas of the newest 1,024 revisions only, and no more than 16 MiB of them', async () => {
    for (let i = 1; i <= 1030; i++) await f.apply(setting('a', String(i)));
    expect(f.store.position).toMatchObject({ revision: 1030, firstDelta: 7 });
    let snapshot = f.store.snapshot();
    expect(snapshot.changesSince(5)).toBeNull();
    expect(snapshot.changesSince(6)?.entries).toHaveLength(1);
    snapshot.close();
    await f.apply(setting('large', Buffer.alloc(15 * 1024 * 1024)));
    await f.apply(setting('larger', Buffer.alloc(15 * 1024 * 1024, 1)));
    expect(f.store.position).toMatchObject({ firstDelta: 1032 });
    expect(f.store.position.deltaBytes).toBeLessThan(16 * 1024 * 1024);
    await f.apply(setting('largest', Buffer.alloc(16 * 1024 * 1024)));
    expect(f.store.position).toMatchObject({ revision: 1033, firstDelta: 1034, deltaBytes: 0 });
    snapshot = f.store.snapshot();
    expect(snapshot.changesSince(1032)).toBeNull();
    snapshot.close();
  }, 360_000);

  it('changes nothing when the root after a revision is another one than it says', async () => {
    await f.apply(setting('a', '1'));
    const before = { ...f.store.position };
    const wrong = f.chain.seal([setting('a', '2')], Date.now(), { root: Buffer.alloc(32, 7) });
    await expect(f.applyBytes(wrong.bytes)).rejects.toMatchObject({ code: 'wrong_root' });
    expect(f.store.position).toEqual(before);
    expect(f.served(setting('a', null))?.toString()).toBe('1');
  });

  it('applies several at once, as if it were one after the other: state, root, deltas and all', async () => {
    const ops = [
      [keyOp('a'), planOp('gold')],
      [keyOp('a', true), keyOp('b')],
      [gone(keyOp('b')), keyOp('c')],
    ];
    const bytes = ops.map((some) => f.chain.seal(some).bytes);
    expect(await f.applyTogether(bytes)).toEqual({ revisions: 3, ops: 6 });
    expect(f.store.position).toMatchObject({ revision: 3, firstDelta: 1, root: rootOf(f.chain.entries) });
    expect([1, 2, 3].map((revision) => f.store.delta(revision))).toEqual(bytes);
    const after = { ...f.store.position };
    await f.reopen();
    expect(f.store.position).toEqual(after);
    expect([f.served(keyOp('a')), f.served(keyOp('b'))]).toEqual([keyOp('a', true).value, null]);
  });

  it('of several applies those before one that is not right, which is refused when it comes first', async () => {
    const good = f.chain.seal([keyOp('a')]).bytes;
    const also = f.chain.seal([keyOp('b')]).bytes;
    const wrong = f.chain.seal([keyOp('c')], Date.now(), { root: Buffer.alloc(32, 7) }).bytes;
    const behind = f.chain.seal([keyOp('d')]).bytes;
    expect(await f.applyTogether([good, also, wrong, behind])).toEqual({ revisions: 2, ops: 2 });
    expect(f.store.position.revision).toBe(2);
    expect(f.served(keyOp('c'))).toBeNull();
    await expect(f.applyTogether([wrong, behind])).rejects.toMatchObject({ code: 'wrong_root' });
    expect(f.store.position.revision).toBe(2);
  });

  it('R4 of several applies none after a change of settings: whom to believe then has to be asked anew', async () => {
    const bytes = [[keyOp('a')], [setting('keys', 'others')], [keyOp('b')]].map((ops) => f.chain.seal(ops).bytes);
    const before = f.store.settingChanges;
    expect(await f.applyTogether(bytes)).toEqual({ revisions: 2, ops: 2 });
    expect(f.store.settingChanges).toBe(before + 1);
    expect(await f.applyTogether(bytes.slice(2))).toEqual({ revisions: 1, ops: 1 });
    expect(f.store.settingChanges).toBe(before + 1);
  });

  it('of several with many changes applies the first, and names those that it cannot use', async () => {
    const many = Array.from({ length: 500 }, (_, i) => keyOp(`k${i}`));
    const unusable: Op = { table: TABLE.key, key: keyOp('odd').key, value: Buffer.of(99) };
    const bytes = [[unusable, ...many], [keyOp('next')]].map((ops) => f.chain.seal(ops).bytes);
    expect((await f.applyTogether(bytes)).revisions).toBe(1);
    expect(f.store.nacks.map(({ revision }) => revision)).toEqual([1]);
    await f.applyTogether([...bytes.slice(1), f.chain.seal([keyOp('odd')]).bytes]);
    expect([f.store.position.revision, f.store.nacks]).toEqual([3, []]);
  });

  it('keeps the newest head across restarts', async () => {
    const head = { epoch: 1, revision: 4, hash: 'ab'.repeat(32), issuedAt: 1, expiresAt: 2 };
    await f.store.saveHead(head);
    await f.reopen();
    expect(f.store.head).toEqual(head);
  });

  it('refuses a second process, the state of another environment, and an unknown layout, and leaves all as it was', async () => {
    await f.apply(setting('a', '1'));
    expect(() => StateStore.open(f.directory, 'prod')).toThrow(`in use by process ${process.pid}`);
    await f.store.close();
    expect(() => StateStore.open(f.directory, 'staging')).toThrow('belongs to the environment prod, not staging');
    const tables = openTables(f.directory, false);
    tables.meta.putSync(META.layout, Buffer.from([0, 9]));
    await tables.root.close();
    expect(() => StateStore.open(f.directory, 'prod')).toThrow('layout version 9; this build reads version 1');
    const repaired = openTables.bind(null, f.directory, false);
    expect(repaired).toThrow('layout version 9');
    const { open } = await import('lmdb');
    const raw = open({
      path: join(f.directory, 'state'),
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false,
    });
    raw.openDB({ name: 'meta', encoding: 'binary', keyEncoding: 'binary' }).putSync(META.layout, Buffer.from([0, 1]));
    await raw.close();
    f.store = StateStore.open(f.directory, 'prod');
    expect(f.served(setting('a', null))?.toString()).toBe('1');
  });

  it('breaks the lock of a process that is gone, also when its pid was given to another one since', async () => {
    await f.store.close();
    for (const stale of [
      { pid: 2 ** 22 - 1, began: '1' },
      { pid: process.pid, began: '1' },
      { pid: process.ppid, began: '1' },
    ]) {
      writeFileSync(join(f.directory, 'lock'), JSON.stringify(stale));
      await StateStore.open(f.directory, 'prod').close();
    }
    writeFileSync(join(f.directory, 'lock'), '');
    f.store = StateStore.open(f.directory, 'prod');
  });

  it('a reader that comes before any replica is told so', () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, 'state'));
    expect(() => openStateReader(directory)).toThrow();
  });
});
