// oxlint-disable max-lines -- one replica, one stream: what each brings and refuses is read together
import { renameSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { deltaName, newSigningKeyPem, type SealedRevision, signerFromPem } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { freePorts, until } from '#harness';
import { encodeTrustedKeys, type Op, STREAM_CLOSE, STREAM_LIMITS, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { Follower, type FollowerOptions } from '../testing/follower.js';
import { keyOp, planOp } from '../testing/sample-ops.js';
import { type ScriptedConnection, ScriptedMaster } from '../testing/scripted-master.js';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function newMaster(port = 0): Promise<ScriptedMaster> {
  const master = await ScriptedMaster.start(port);
  ends.push(() => master.stop());
  return master;
}

function newFollower(options: FollowerOptions): Follower {
  const f = new Follower(options);
  ends.push(() => f.remove());
  return f;
}

/** A follower of one master, and the connection on which it was answered that it has everything. */
async function streaming(
  port?: number,
): Promise<{ f: Follower; master: ScriptedMaster; connection: ScriptedConnection }> {
  const master = await newMaster(port);
  const f = newFollower({ masters: [master.url] });
  await f.chain.putHead(f.store); // which stays behind
  master.onFollow = (one) => one.intent('none', f.chain.head());
  f.start();
  const connection = await master.following();
  await until(() => f.agent.sync.state === 'live', { what: 'the stream', every: 5 });
  return { f, master, connection };
}

/** Sends those elsewhere that do not have everything yet. */
const servesLevel =
  (f: Follower): ScriptedMaster['onFollow'] =>
  (one, { revision }) =>
    revision < f.chain.position.revision
      ? one.full('too_far_behind', f.chain.head())
      : one.intent('none', f.chain.head());

/** For revisions in great numbers, or large ones: each is synced to a disk that may be slow. */
const MANY_MS = 90_000;
const at = (f: Follower, revision: number, within?: number): Promise<unknown> =>
  until(() => f.agent.sync.revision === revision, { what: `revision ${revision}`, every: 5, within });
const isServed = (f: Follower, op: Op): boolean => {
  const snapshot = f.state.snapshot();
  try {
    return op.value !== null && snapshot.get(op.table, op.key)?.equals(op.value) === true;
  } finally {
    snapshot.close();
  }
};
const large = (n: number): Op => ({ table: TABLE.setting, key: Buffer.from(`l${n}`), value: Buffer.alloc(700_000, n) });

describe('a stream', () => {
  it('brings revisions that are applied and acknowledged, with a status; the store is hardly asked', async () => {
    const { connection, f } = await streaming();
    const looks = f.looks.length; // until it was live, however long that took
    expect(connection.authorization).toBe('Bearer hg_replica_1');
    expect(connection.follows).toEqual([{ type: 'follow', epoch: 0, revision: 0, hash: '0'.repeat(64) }]);
    connection.frame(f.chain.seal([keyOp('a')]).bytes);
    connection.frame(f.chain.seal([keyOp('a', true)]).bytes);
    await at(f, 2);
    expect(isServed(f, keyOp('a', true))).toBe(true);
    await until(() => connection.acked === 2, { what: 'the acknowledgement' });
    await until(() => connection.heard.some((one) => one.type === 'status' && one.status.revision === 2), {
      what: 'the status',
    });
    expect(f.agent.sync).toMatchObject({ state: 'live', revision: 2, head: 2 });
    expect(f.agent.source).toBe('stream');
    expect(f.looks.length - looks).toBeLessThan(2); // one may have been under way
  });

  it('keeps the state fresh by the heads that it brings', async () => {
    const { connection, f } = await streaming();
    const expiresAt = Date.now() + 500_000;
    connection.head(f.chain.head({ issuedAt: Date.now() + 5, expiresAt }));
    await until(() => f.agent.heads.freshest?.expiresAt === expiresAt, { what: 'the newer head' });
    expect(f.state.head?.expiresAt).toBe(expiresAt);
  });

  it('acknowledges only forward, and the newest in any case', async () => {
    const { connection, f } = await streaming();
    for (let n = 1; n <= 100; n++) connection.frame(f.chain.seal([keyOp(`k${n}`)]).bytes);
    await until(() => connection.acked === 100, { what: 'the last acknowledgement', within: MANY_MS });
    const acks = connection.heard.flatMap((one) => (one.type === 'ack' ? [one.revision] : []));
    expect(acks).toEqual([...new Set(acks)].sort((a, b) => a - b));
  });

  it('is followed again where the thread is lost: what it sends then is applied', async () => {
    const { connection, f, master } = await streaming();
    const sealed = [keyOp('a'), keyOp('b'), keyOp('c')].map((op) => f.chain.seal([op]));
    master.onFollow = (one, { revision }) => {
      one.intent('changes', f.chain.head());
      for (const { bytes } of sealed.slice(revision)) one.frame(bytes);
    };
    connection.frame((sealed[0] as SealedRevision).bytes);
    connection.frame((sealed[2] as SealedRevision).bytes); // the second one is missing
    await at(f, 3);
    expect(connection.follows.map(({ revision }) => revision)).toEqual([0, 1]);
    expect(f.refused).toEqual(['wrong_revision']);
  });

  it('sends a replica that is too far behind elsewhere, and serves it from there on', async () => {
    const master = await newMaster();
    const f = newFollower({ masters: [master.url] });
    for (let n = 1; n <= 90; n++) await f.chain.publish(f.store, [keyOp(`k${n}`)]);
    master.onFollow = (one, { revision }) => {
      if (revision < 90) return one.full('too_far_behind', f.chain.head());
      one.intent('none', f.chain.head());
      one.frame(f.chain.seal([keyOp('last')]).bytes);
    };
    f.start();
    await at(f, 91);
    await until(() => f.agent.sync.state === 'live', { what: 'the stream' });
  });

  it('is asked for what its master lacks, and answers from what it keeps', async () => {
    const { connection, f } = await streaming();
    const sealed = ['a', 'b', 'c'].map((name) => f.chain.seal([keyOp(name)]).bytes);
    for (const bytes of sealed) connection.frame(bytes);
    await at(f, 3);
    connection.say({ type: 'want', from: 2, to: 3 });
    await until(() => connection.frames.length === 2, { what: 'the revisions' });
    expect(connection.frames.map((frame, n) => frame.equals(sealed[n + 1] as Buffer))).toEqual([true, true]);
    connection.say({ type: 'want', from: 9, to: 10 }); // not there: nothing comes, and nothing ends
    connection.frame(f.chain.seal([keyOp('d')]).bytes);
    await at(f, 4);
  });

  it('that is behind this replica leaves it where it is, and is followed again when it is not any more', async () => {
    const master = await newMaster();
    const f = newFollower({ masters: [master.url] });
    await f.chain.publish(f.store, [keyOp('a')]);
    const old = f.chain.head();
    await f.chain.publish(f.store, [keyOp('b')]);
    master.onFollow = (one, { revision }) => (revision < 2 ? one.full('too_far_behind', old) : one.full('ahead', old));
    f.start();
    await f.faults('master_behind');
    expect(f.agent.sync.revision).toBe(2);
    const connection = await master.following();
    master.onFollow = (one) => one.intent('none', f.chain.head());
    connection.head(f.chain.head());
    await until(() => f.agent.sync.state === 'live', { what: 'the stream' });
  });
});

describe('a stream that fails', () => {
  it('leaves polling the store, and is live again when a master is back', async () => {
    const [port] = await freePorts(1);
    const { f, master } = await streaming(port);
    await master.stop();
    await until(() => f.agent.sync.state === 'polling', { what: 'the replica to poll' });
    await f.chain.publish(f.store, [keyOp('a')]);
    await at(f, 1);
    expect(f.agent.source).toBe('store');
    const back = await newMaster(port);
    back.onFollow = (one) => one.intent('none', f.chain.head());
    await until(() => f.agent.sync.state === 'live', { what: 'the stream' });
    (await back.following()).frame(f.chain.seal([keyOp('b')]).bytes);
    await at(f, 2);
    expect(Object.keys(f.agent.sync.faults)).toEqual([]);
  });

  it('is taken up by another master', async () => {
    const [first, second] = [await newMaster(), await newMaster()];
    const f = newFollower({ masters: [first.url, second.url] });
    for (const master of [first, second]) master.onFollow = servesLevel(f);
    f.start();
    (await first.following()).frame(f.chain.seal([keyOp('a')]).bytes);
    await at(f, 1);
    await first.stop();
    const connection = await second.following();
    expect(connection.follows[0]?.revision).toBe(1);
    connection.frame(f.chain.seal([keyOp('b')]).bytes);
    await at(f, 2);
  });

  it('is noticed when nothing more is heard, without a goodbye', async () => {
    const { f, master } = await streaming();
    master.mute();
    await f.faults('stream_silent');
    expect((await master.following(2)).follows).toHaveLength(1);
  });

  it('says what its master answers: refused, unavailable, closed with a reason', async () => {
    const master = await newMaster();
    master.refuses = 503;
    const f = newFollower({ masters: [master.url] });
    f.start();
    expect(await f.faults('master_unavailable')).toContain('/v1/stream answered 503');
    master.refuses = null;
    master.onFollow = (one) => one.socket.close(STREAM_CLOSE.slow_consumer, 'slow_consumer');
    expect(await f.faults('stream_closed')).toContain('closed the stream: slow_consumer');
    master.onFollow = (one) => one.say({ type: 'intent', intent: 'perhaps' });
    await f.faults('bad_message');
    const told = (): boolean => master.connections.some(({ closed }) => closed?.[0] === STREAM_CLOSE.bad_message);
    await until(told, { what: 'the master to be told' });
    master.onFollow = (one) => one.intent('none', f.chain.head());
    await until(() => f.agent.sync.state === 'live', { what: 'the stream' });
    master.connections.at(-1)?.socket.close(STREAM_CLOSE.unauthenticated, 'unauthenticated');
    await f.faults('master_refused');
  });

  it('does not hold up the store while it does not answer', async () => {
    const master = await newMaster();
    const f = newFollower({ masters: [master.url] });
    await f.chain.publish(f.store, [keyOp('a')]);
    f.start();
    await at(f, 1);
    await master.following();
    await f.chain.publish(f.store, [keyOp('b')]);
    await at(f, 2);
  });

  it('is left for a while by a replica that was replaced by another one with its token', async () => {
    const { connection, f, master } = await streaming();
    connection.socket.close(STREAM_CLOSE.replaced, 'replaced');
    await f.faults('stream_replaced');
    await f.chain.publish(f.store, [keyOp('a')]);
    await at(f, 1);
    expect(master.connections).toHaveLength(1);
  });
});

describe('R4 nothing that a stream brings is applied that is', () => {
  const flip = (bytes: Buffer, place: number): Buffer => {
    const altered = Buffer.from(bytes);
    altered.writeUInt8(altered.readUInt8(place) ^ 1, place);
    return altered;
  };
  /** The second revision as `change` makes it is refused with `code`, and that master given up; the right one is applied after. */
  async function refuses(change: (right: SealedRevision, f: Follower) => Buffer, code: string): Promise<void> {
    const { connection, f, master } = await streaming();
    connection.frame(f.chain.seal([keyOp('a')]).bytes);
    await at(f, 1);
    const right = f.chain.seal([keyOp('a', true)]);
    master.onFollow = (one) => one.intent('changes', f.chain.head());
    connection.frame(change(right, f));
    await until(() => connection.closed, { what: 'the connection to be given up' });
    expect(connection.closed).toEqual([1000, code]);
    expect(f.refused).toContain(code);
    expect(f.state.position.revision).toBe(1);
    expect(isServed(f, keyOp('a'))).toBe(true);
    (await master.following(2)).frame(right.bytes);
    await at(f, 2);
    expect(f.agent.sync.faults).toEqual({});
  }

  it('altered in its header', () => refuses(({ bytes }) => flip(bytes, 20), 'bad_signature'));
  it('altered in its body', () => refuses(({ bytes }) => flip(bytes, bytes.length - 1), 'bad_hash'));
  it('cut short', () => refuses(({ bytes }) => bytes.subarray(0, bytes.length - 1), 'truncated'));
  it('longer than it says', () => refuses(({ bytes }) => Buffer.concat([bytes, Buffer.of(0)]), 'truncated'));
  it('noise', () => refuses(() => Buffer.alloc(500, 7), 'malformed'));
  it('signed by a key that is not trusted', () =>
    refuses(() => {
      const stranger = new ChainMaker();
      stranger.seal([keyOp('a')]);
      return stranger.seal([keyOp('b')]).bytes;
    }, 'untrusted_key'));
  it('of another environment', () =>
    refuses((_right, f) => {
      const other = new ChainMaker('staging', 1, f.chain.signer);
      other.seal([keyOp('a')]);
      return other.seal([keyOp('b')]).bytes;
    }, 'wrong_environment'));

  it('a head that is forged, of another environment, or goes back: the connection is given up', async () => {
    const { f, master } = await streaming();
    const wrong: [Buffer, string][] = [
      [new ChainMaker().head({ revision: 9 }), 'untrusted_key'],
      [new ChainMaker('staging', 1, f.chain.signer).head(), 'wrong_environment'],
      [f.chain.head({ issuedAt: 5 }), 'head_replayed'],
      [Buffer.from('{}'), 'malformed'],
    ];
    for (const [index, [head, code]] of wrong.entries()) {
      const connection = await master.following(index + 1);
      await until(() => f.agent.sync.state === 'live', { what: 'the stream', every: 2 });
      connection.head(head);
      await until(() => connection.closed, { what: `the connection to be given up for ${code}` });
      expect(connection.closed).toEqual([1000, code]);
    }
  });
});

describe('two masters', () => {
  it('R10 of which one is of a term that is over: its heads and revisions are refused, and the other one is followed', async () => {
    const [old, right] = [await newMaster(), await newMaster()];
    const f = newFollower({ masters: [old.url, right.url] });
    await f.chain.publish(f.store, [keyOp('a')]);
    f.chain.position.epoch = 2;
    await f.chain.publish(f.store, [keyOp('b')]);
    let isKnown = false;
    old.onFollow = (one, follow) =>
      isKnown ? one.intent('none', f.chain.head({ epoch: 1 })) : servesLevel(f)(one, follow);
    right.onFollow = servesLevel(f);
    f.start();
    await at(f, 2);
    await until(() => f.agent.sync.state === 'live', { what: 'the old stream' });
    isKnown = true;
    const first = await old.following();
    first.head(f.chain.head({ epoch: 1 }));
    await until(() => first.closed, { what: 'the old master to be given up' });
    expect(first.closed).toEqual([1000, 'older_epoch']);
    const connection = await right.following();
    connection.frame(f.chain.seal([keyOp('c')]).bytes);
    await at(f, 3);
    expect(f.refused).toContain('older_epoch');
  });

  it('R3 R10 of which one was restored and says that it is behind: it is left alone for the other one, and nothing is refused', async () => {
    const [restored, right] = [await newMaster(), await newMaster()];
    const f = newFollower({ masters: [restored.url, right.url] });
    await f.chain.publish(f.store, [keyOp('a')]);
    const before = { revision: 1, hash: f.chain.position.hash.toString('hex'), epoch: 1 };
    f.chain.position.epoch = 2;
    await f.chain.publish(f.store, [keyOp('b')]);
    let isBehind = false;
    restored.onFollow = (one, follow) =>
      isBehind ? one.full('ahead', f.chain.head(before)) : servesLevel(f)(one, follow);
    right.onFollow = servesLevel(f);
    f.start();
    await at(f, 2);
    await until(() => f.agent.sync.state === 'live', { what: 'the stream' });
    isBehind = true;
    for (const master of [restored, right]) (await master.following()).socket.terminate();
    const again = await restored.following(2);
    await until(() => again.closed, { what: 'the restored master to be left alone' });
    expect(again.closed).toEqual([1000, 'master_behind']);
    expect(f.refused).toEqual([]);
  });

  it('R10 a connection to the old one is given up as soon as a head of a newer term is seen elsewhere', async () => {
    const [old, right] = [await newMaster(), await newMaster()];
    const f = newFollower({ masters: [old.url, right.url], streamPollMs: 50 });
    await f.chain.publish(f.store, [keyOp('a')]);
    const first = f.chain.head();
    old.onFollow = (one, { revision }) =>
      revision < 1 ? one.full('too_far_behind', first) : one.intent('none', first);
    right.onFollow = servesLevel(f);
    f.start();
    const connection = await old.following();
    await until(() => f.agent.sync.state === 'live', { what: 'the old stream' });
    f.chain.position.epoch = 2;
    await f.chain.putHead(f.store);
    await until(() => connection.closed, { what: 'the old master to be given up' });
    expect(connection.closed).toEqual([1000, 'older_epoch']);
    await right.following();
  });

  it('R10 a revision of the old term that would fit is refused once a head of the newer term is known', async () => {
    const { connection, f } = await streaming();
    const old = f.chain.seal([keyOp('a')]);
    connection.frame(old.bytes);
    await at(f, 1);
    const late = f.chain.seal([keyOp('late')]);
    const here = { revision: 1, hash: old.hash.toString('hex'), epoch: 2 };
    connection.head(f.chain.head({ ...here, issuedAt: Date.now() + 10 }));
    await until(() => f.agent.heads.newest?.epoch === 2, { what: 'the head of the newer term' });
    connection.frame(late.bytes);
    await until(() => connection.closed, { what: 'the connection to be given up' });
    expect(connection.closed?.[1]).toBe('older_epoch');
    expect(f.state.position.revision).toBe(1);
  });

  it('that have made one revision each: a fork, neither is followed further, and the first that differs is named', async () => {
    const { connection, f, master } = await streaming();
    const other = new ChainMaker('prod', 1, f.chain.signer);
    const issuedAt = 1000;
    for (let n = 1; n <= 4; n++) {
      connection.frame(f.chain.seal([keyOp(`k${n}`)], issuedAt).bytes);
      const theirs = other.seal([keyOp(n < 3 ? `k${n}` : `other${n}`)], issuedAt);
      await f.store.create(deltaName('prod', n), theirs.bytes);
    }
    await at(f, 4);
    await f.restart();
    await f.chain.putHead(f.store, other.head());
    f.start();
    expect(await f.faults('fork')).toContain('the first revision that differs is 3');
    await until(() => f.agent.sync.state === 'live', { what: 'the stream' });
    (await master.following(2)).frame(f.chain.seal([keyOp('next')]).bytes);
    await until(() => f.refused.filter((code) => code === 'fork').length > 1, { what: 'the refusal' });
    expect(f.state.position.revision).toBe(4);
  });
});

describe('R12', () => {
  it('a replica that is slow stops reading: what waits here is bounded, nothing is skipped, and it goes on', async () => {
    const { connection, f } = await streaming();
    const apply = f.state.applyTogether.bind(f.state);
    let release = (): void => undefined;
    const stuck = new Promise<void>((resolve) => (release = resolve));
    f.state.applyTogether = async (...args) => {
      await stuck;
      return apply(...args);
    };
    const COUNT = 40; // 28 MB
    for (let n = 1; n <= COUNT; n++) connection.frame(f.chain.seal([large(n)]).bytes);
    // what the sockets of both systems take is theirs; the rest stays at the sender
    await until(() => f.stream && f.stream.waiting * 700_000 > STREAM_LIMITS.bufferedBytes - 700_000, {
      what: 'a full inbox',
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((f.stream?.waiting ?? 0) * 700_000).toBeLessThan(STREAM_LIMITS.bufferedBytes + 3 * 700_000);
    expect(connection.socket.bufferedAmount).toBeGreaterThan(0);
    release();
    await at(f, COUNT, MANY_MS);
    expect(connection.follows).toHaveLength(1);
  });
});

describe('keys that the chain names', () => {
  const rotation = (...keys: string[]): Op => ({
    table: TABLE.setting,
    key: TRUSTED_KEYS_SETTING,
    value: encodeTrustedKeys(keys),
  });

  /** A chain whose second revision names another key, which signs all that follows; `late` is a third one of the old key. */
  function rotate(f: Follower): { before: SealedRevision[]; late: SealedRevision; last: SealedRevision } {
    const [old, next] = [f.chain.signer, signerFromPem(newSigningKeyPem())];
    const twin = new ChainMaker('prod', 1, old);
    const ops = [keyOp('a'), rotation(next.publicKey)];
    const before = ops.map((op) => f.chain.seal([op], 1000));
    for (const op of ops) twin.seal([op], 1000);
    Object.assign(f.chain, { signer: next });
    return { before, late: twin.seal([keyOp('b')]), last: f.chain.seal([planOp('gold')]) };
  }

  it('replace those of before from the next revision on, restarts included', async () => {
    const { connection, f, master } = await streaming();
    const { before, last, late } = rotate(f);
    master.onFollow = (one) => one.intent('changes', f.chain.head());
    for (const { bytes } of [...before, late]) connection.frame(bytes);
    await until(() => connection.closed, { what: 'the revision signed by the old key to be refused' });
    expect(connection.closed?.[1]).toBe('untrusted_key');
    expect(f.state.position.revision).toBe(2);
    const connections = master.connections.length;
    await f.restart();
    f.start();
    (await master.following(connections + 1)).frame(last.bytes);
    await at(f, 3);
  });

  it('are reached by a replica that was away meanwhile, revision by revision, from a store', async () => {
    const f = newFollower({});
    const { before, last } = rotate(f);
    for (const { bytes, header } of [...before, last]) await f.store.create(deltaName('prod', header.revision), bytes);
    await f.chain.putHead(f.store);
    f.start();
    await at(f, 3);
  });

  it('are reached by a replica that was away meanwhile, over a stream', async () => {
    const master = await newMaster();
    const f = newFollower({ masters: [master.url] });
    const { before, last } = rotate(f);
    master.onFollow = (one, { revision }) => {
      one.intent('changes', f.chain.head());
      for (const { bytes } of [...before, last].slice(revision)) one.frame(bytes);
    };
    f.start();
    await at(f, 3);
  });
});

it('a replica that needs a newer build halts, says so once, and serves on', async () => {
  const { connection, f } = await streaming();
  connection.frame(f.chain.seal([keyOp('a')]).bytes);
  await at(f, 1);
  connection.frame(f.chain.seal([keyOp('b')], Date.now(), { minReader: 99 }).bytes);
  expect(await f.faults('reader_too_old')).toContain('needs reader version 99');
  await until(() => f.agent.sync.state === 'halted', { what: 'it to halt' });
  expect(isServed(f, keyOp('a'))).toBe(true);
  await until(() => connection.closed?.[1] === 'reader_too_old', { what: 'the stream to be left' });
});

it('R3 R9 a key that was revoked over the stream stays so when the store and another master are behind, and after a restart', async () => {
  const { connection, f, master } = await streaming();
  await f.chain.publish(f.store, [keyOp('a')]);
  const old = f.chain.head();
  connection.frame((await f.store.get(deltaName('prod', 1), 10_000))?.bytes ?? Buffer.alloc(0));
  await at(f, 1);
  connection.frame(f.chain.seal([keyOp('a', true)]).bytes);
  await at(f, 2);
  await master.stop();
  await until(() => f.agent.sync.state === 'polling', { what: 'the replica to poll' });
  await f.restart();
  f.start();
  await f.chain.putHead(f.store, old);
  const looks = f.looks.length;
  await until(() => f.looks.length > looks + 3, { what: 'some looks' });
  expect(f.state.position.revision).toBe(2);
  expect(isServed(f, keyOp('a', true))).toBe(true);
  renameSync(f.storeDirectory, `${f.storeDirectory}.away`);
  await until(() => f.agent.sync.state === 'isolated', { what: 'the replica to be alone' });
  expect(isServed(f, keyOp('a', true))).toBe(true);
  renameSync(`${f.storeDirectory}.away`, f.storeDirectory);
});
