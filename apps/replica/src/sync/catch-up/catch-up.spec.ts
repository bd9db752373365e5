import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ArtifactReader,
  deltaName,
  newSigningKeyPem,
  openStore,
  opsOf,
  sealSegment,
  segmentName,
  segmentRange,
  signerFromPem,
  snapshotName,
  verifyHead,
  verifySegment,
} from '#artifacts';
import { createLog } from '#platform';
import { encodeTrustedKeys, type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { CountingReader, weekOffline } from '../../testing/catch-up-week.js';
import { gone, keyOp, placementOp, planOp, releaseOp, sampleDefinition } from '../../testing/sample-ops.js';
import { rootOf, spoil, StateFixture, temporaryDirectory } from '../../testing/state-fixture.js';
import { openStateReader } from '../../state/state-reader.js';
import { StateStore } from '../../state/state-store.js';
import { ChainTrust } from '../chain-trust.js';
import { CatchUp } from './index.js';

let f: StateFixture;
let storeDirectory: string;
let source: CountingReader;
const never = new AbortController().signal;

beforeEach(() => {
  f = new StateFixture();
  storeDirectory = temporaryDirectory();
  source = new CountingReader(store());
});
afterEach(async () => {
  await source.close();
  rmSync(storeDirectory, { recursive: true, force: true });
  await f.end();
});

const store = () => openStore(pathToFileURL(storeDirectory).href, { create: true });
const OPTIONS = { check: () => undefined, log: createLog('test', 'silent'), onApplied: () => undefined };
const catchUp = (reader: ArtifactReader = source): CatchUp =>
  new CatchUp({ reader, state: f.store, trusted: () => f.trusted, ...OPTIONS });
const run = (reader?: ArtifactReader): Promise<{ applied: number }> =>
  catchUp(reader).run(verifyHead(f.chain.head(), 'prod', f.trusted), never);

/** Seals and stores so many revisions, each of which changes some keys. */
async function publish(
  revisions: number,
  ops = (n: number): Op[] => [keyOp(`k${n % 97}`, n % 2 === 0), keyOp(`n${n}`)],
): Promise<void> {
  const target = store();
  for (let i = 0; i < revisions; i++) {
    const { bytes, header } = f.chain.seal(ops(f.chain.position.revision + 1));
    await target.create(deltaName('prod', header.revision), bytes);
  }
  await target.close();
}

async function putSegments(): Promise<void> {
  const target = store();
  await f.chain.putSegments(target);
  await target.close();
}

async function putSnapshot(): Promise<void> {
  const target = store();
  await f.chain.putSnapshot(target);
  await target.close();
}

function expectLevel(): void {
  const { hash, revision } = f.chain.position;
  expect(f.store.position).toMatchObject({ revision, hash: hash.toString('hex'), root: rootOf(f.chain.entries) });
  const snapshot = f.store.snapshot();
  for (const [name, value] of f.chain.entries) {
    const bytes = Buffer.from(name, 'hex');
    expect(snapshot.get(bytes.readUInt8(0), bytes.subarray(1))).toEqual(value);
  }
  let count = 0;
  for (let table = 1; table < 9; table++) count += [...snapshot.entries(table)].length;
  expect(count).toBe(f.chain.entries.size);
  snapshot.close();
}

const read = (part: string): string[] => source.names.filter((name) => name.includes(part));

describe('catching up', () => {
  it('takes segments where there are some, and single revisions at the ends', async () => {
    await publish(200);
    await putSegments();
    expect(await run()).toEqual({ applied: 200 });
    expectLevel();
    expect([read('/segment/').length, read('/delta/').length]).toEqual([3, 8]);
  });

  it('R2 R3 is level with the chain from any revision, over puts, deletes, snapshots, segments and objects that are missing', async () => {
    const scripts = fc.record({
      parts: fc.array(
        fc.record({ revisions: fc.integer({ min: 1, max: 90 }), keys: fc.integer({ min: 1, max: 40 }) }),
        { minLength: 2, maxLength: 4 },
      ),
      stops: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      snapshots: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      missing: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(scripts, async ({ parts, stops, snapshots, missing }) => {
        rmSync(storeDirectory, { recursive: true, force: true });
        await f.end();
        f = new StateFixture();
        for (const [i, { keys, revisions }] of parts.entries()) {
          await publish(revisions, (n) => [
            n % 3 === 0 ? gone(keyOp(`k${n % keys}`)) : keyOp(`k${n % keys}`, n % 2 === 0),
            keyOp(`${i}/${n}`),
          ]);
          await putSegments();
          if (snapshots[i]) await putSnapshot();
          for (const index of missing) rmSync(join(storeDirectory, segmentName('prod', 1, index)), { force: true });
          const before = f.store.position.revision;
          if (stops[i] || i === parts.length - 1) {
            await run();
            expectLevel();
          }
          expect(f.store.position.revision).toBeGreaterThanOrEqual(before);
        }
      }),
      { numRuns: 4 },
    );
  });

  it('takes only the buckets of a snapshot that differ, and deletes what is gone from them', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => keyOp(`m${i}`));
    await publish(1, () => many);
    await run();
    await publish(300, (n) => [
      planOp('gold', { rate: { limit: n, per: 'minute' }, quota: null }),
      { table: TABLE.setting, key: Buffer.from('large'), value: Buffer.alloc(3000, n) },
    ]);
    await publish(1, () => [gone(keyOp('m1')), gone(keyOp('m2'))]);
    await putSnapshot();
    source.names.length = 0;
    await run();
    expectLevel();
    expect(read('/blob/').length).toBeLessThanOrEqual(4);
    expect(read('/delta/').length).toBeLessThanOrEqual(1);
  });

  it('says with null that a jump cannot be told as changes, and tells those after it', async () => {
    await publish(130);
    await putSegments();
    await f.applyBytes((await source.get(deltaName('prod', 1), 1e6))?.bytes as Buffer);
    await run();
    const snapshot = f.store.snapshot();
    expect(snapshot.changesSince(1)).toBeNull();
    expect(snapshot.changesSince(128)?.entries).toHaveLength(4);
    snapshot.close();
    expect([f.store.delta(1), f.store.delta(128)]).toEqual([null, null]);
    expect(f.store.delta(129)).toEqual((await source.get(deltaName('prod', 129), 1e6))?.bytes);
  });

  it('reads go on while a snapshot is taken over, of the revision before until it is whole', async () => {
    await publish(1, () => Array.from({ length: 20_000 }, (_, i) => keyOp(`m${i}`)));
    await run();
    await publish(1, () => Array.from({ length: 20_000 }, (_, i) => keyOp(`m${i}`, true)));
    await putSnapshot();
    rmSync(join(storeDirectory, deltaName('prod', 2)));
    const pinned = f.store.snapshot();
    let turns = 0;
    let done = false;
    const running = run().finally(() => (done = true));
    for (; !done; turns++) {
      const snapshot = f.store.snapshot();
      const key = keyOp('m7', snapshot.revision === 2);
      expect(snapshot.get(key.table, key.key)).toEqual(key.value);
      snapshot.close();
      await new Promise(setImmediate);
    }
    await running;
    expect(turns).toBeGreaterThan(50);
    expect(pinned.get(TABLE.key, keyOp('m7').key)).toEqual(keyOp('m7').value);
    pinned.close();
    expectLevel();
  });

  it('R6 holds back what cannot be used over a jump as well, and applies the revocation beside it', async () => {
    const good = releaseOp(sampleDefinition('weather', 'http://a'));
    const bad = releaseOp({ ...sampleDefinition('weather', 'http://b'), fromTheFuture: true });
    await publish(1, () => [good, placementOp('weather:v1', '*', good), keyOp('k')]);
    await run();
    await publish(70, (n) =>
      n === 50 ? [bad, placementOp('weather:v1', '*', bad), gone(good), keyOp('k', true)] : [keyOp(`x${n}`)],
    );
    await putSegments();
    await putSnapshot();
    await run();
    expect(f.served(keyOp('k'))).toEqual(keyOp('k', true).value);
    expect(f.served(placementOp('weather:v1', '*', null))).toEqual(good.key);
    expect(f.served(good)).toEqual(good.value);
    expect(f.store.nacks.map(({ table }) => table).sort()).toEqual(['placement', 'release']);
  });
});

describe('an object that is no good', () => {
  const damage = (name: string, change: (bytes: Buffer) => Buffer): Promise<void> =>
    source.get(name, 1e8).then((object) => writeFileSync(join(storeDirectory, name), change(object?.bytes as Buffer)));
  const flipped = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(copy.length - 3) ^ 1, copy.length - 3);
    return copy;
  };

  it.each([
    ['is cut', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['has a flipped bit', flipped],
    ['is empty', () => Buffer.alloc(0)],
    ['is another one', () => f.chain.segment(1, 1)],
    ['is signed and wrong', () => lyingSegment()],
  ])('R4 a segment that %s is gone around', async (_, change) => {
    await publish(150);
    await putSegments();
    await damage(segmentName('prod', 1, 0), change);
    await run();
    expectLevel();
    expect(new Set(read('/delta/')).size).toBe(64 + 22);
  });

  /** A snapshot of 300 keys that costs less than the revisions that made it. @returns the name of one of its blobs */
  async function cheapSnapshot(): Promise<string> {
    await publish(20, (n) => Array.from({ length: 300 }, (_, i) => keyOp(`m${i}`, n % 2 === 0)));
    const target = store();
    const [blob] = await f.chain.putSnapshot(target);
    await target.close();
    return blob as string;
  }
  const CHANGES: [string, ((bytes: Buffer) => Buffer) | null, string][] = [
    ['is cut', (bytes) => bytes.subarray(0, bytes.length - 1), 'truncated'],
    ['has a flipped bit', flipped, 'bad_hash'],
    ['is missing', null, 'object_missing'],
  ];
  async function spoilObject(name: string, change: ((bytes: Buffer) => Buffer) | null): Promise<void> {
    if (change) await damage(name, change);
    else rmSync(join(storeDirectory, name));
    source.names.length = 0;
  }

  it.each(CHANGES)('R4 a snapshot that %s is gone around', async (_, change) => {
    await cheapSnapshot();
    await spoilObject(snapshotName('prod', 20), change);
    await run();
    expectLevel();
    expect([read('/snapshot/').length, read('/blob/').length, read('/delta/').length]).toEqual([1, 0, 20]);
  });

  it.each(CHANGES)(
    'R4 a blob that %s is gone around, and named where that is not possible',
    async (_, change, code) => {
      const blob = await cheapSnapshot();
      await spoilObject(blob, change);
      const first = join(storeDirectory, deltaName('prod', 1));
      renameSync(first, `${first}.away`);
      await expect(run()).rejects.toMatchObject({ code, object: blob });
      expect(f.store.position.revision).toBe(0);
      renameSync(`${first}.away`, first);
      await run();
      expectLevel();
      expect(read('/blob/')).toContain(blob);
      expect(new Set(read('/delta/')).size).toBe(20);
    },
  );

  it('R4 a segment signed by a key that is trusted later is left out until then, and revisions are taken', async () => {
    const signer = signerFromPem(newSigningKeyPem());
    const trust = new ChainTrust(
      { configured: null, joined: [f.chain.signer.publicKey] },
      f.store,
      createLog('test', 'silent'),
    );
    const keys = encodeTrustedKeys([f.chain.signer.publicKey, signer.publicKey]);
    await publish(150, (n) =>
      n === 10 ? [{ table: TABLE.setting, key: TRUSTED_KEYS_SETTING, value: keys }] : [keyOp(`n${n}`)],
    );
    const target = store();
    for (const index of [0, 1]) {
      const segment = verifySegment(f.chain.segment(1, index), 'prod', f.trusted);
      await target.create(segmentName('prod', 1, index), sealSegment(segment.header, opsOf(segment), signer));
    }
    await target.close();
    const catchUpWithChain = new CatchUp({
      reader: source,
      state: f.store,
      ...OPTIONS,
      trusted: trust.keys,
    });
    await catchUpWithChain.run(verifyHead(f.chain.head(), 'prod', f.trusted), never);
    expectLevel();
    expect(new Set(read('/segment/')).size).toBe(2);
    expect(new Set(read('/delta/')).size).toBe(64 + 22);
  });

  it('names the object when there is no way around it, and goes on from there when it is back', async () => {
    await publish(150);
    await putSegments();
    const name = deltaName('prod', 130);
    const bytes = (await source.get(name, 1e6))?.bytes as Buffer;
    rmSync(join(storeDirectory, name));
    await expect(run()).rejects.toMatchObject({
      code: 'object_missing',
      message: expect.stringContaining(name) as string,
    });
    writeFileSync(join(storeDirectory, name), bytes);
    await run();
    expectLevel();
  });

  it('ends with the reason of the signal, and leaves what it has applied', async () => {
    await publish(300);
    await putSegments();
    const stop = new AbortController();
    const slow: ArtifactReader = Object.assign(Object.create(source) as CountingReader, {
      get: (name: string, limit: number) => {
        if (name === segmentName('prod', 1, 2)) stop.abort(new Error('no longer wanted'));
        return source.get(name, limit);
      },
    });
    const head = verifyHead(f.chain.head(), 'prod', f.trusted);
    await expect(catchUp(slow).run(head, stop.signal)).rejects.toThrow();
    await run();
    expectLevel();
  });

  it('R10 a state of another history is not taken over to the one of the source', async () => {
    await publish(150);
    await putSegments();
    const first = f.chain.seal([keyOp('a')]);
    expect(first.header.revision).toBe(151);
    const other = new StateFixture();
    await other.apply(keyOp('of another master'));
    const its = new CatchUp({
      reader: source,
      ...OPTIONS,
      state: other.store,
      trusted: () => f.trusted,
    });
    await expect(its.run(verifyHead(f.chain.head(), 'prod', f.trusted), never)).rejects.toMatchObject({ code: 'fork' });
    expect(other.store.position.revision).toBe(1);
    await other.end();
  });

  function lyingSegment(): Buffer {
    const { first, last } = segmentRange(1, 0);
    expect(first).toBe(1);
    const place = {
      environment: 'prod',
      level: 1,
      index: 0,
      epoch: 1,
      hash: Buffer.alloc(32, last),
      root: Buffer.alloc(32, 1),
      issuedAt: 1,
    };
    return sealSegment(place, [keyOp('not of this chain')], f.chain.signer);
  }
});

describe('a damaged disk', () => {
  async function damaged(...ops: Op[]): Promise<void> {
    await f.store.close();
    await spoil(f.directory, ...ops);
    f.store = StateStore.open(f.directory, 'prod');
  }
  const repair = (): Promise<{ damaged: number; applied: number }> =>
    catchUp().repair(verifyHead(f.chain.head(), 'prod', f.trusted), never);

  it('is found by its sums, and only its damaged parts are fetched, from a snapshot that is older, newer or the same', async () => {
    const spoilt = [keyOp('n3', true), gone(keyOp('n5')), keyOp('from nowhere')];
    for (const [after, before] of [
      [0, 0],
      [70, 0],
      [0, 30],
    ] as const) {
      await publish(80);
      await putSnapshot();
      await publish(after);
      await run();
      await publish(before);
      if (before > 0) await putSnapshot();
      await damaged(...spoilt);
      source.names.length = 0;
      const reader = openStateReader(f.directory);
      const repairs = reader.repairs();
      expect(await repair()).toMatchObject({ damaged: 3, applied: f.chain.position.revision });
      expectLevel();
      expect(read('/blob/').length).toBeLessThanOrEqual(before === 0 ? 3 : 70);
      if (before === 0) expect(reader.repairs()).toBe(repairs + 1);
      expect((await repair()).damaged).toBe(0);
      await reader.close();
    }
  });

  it('cannot be mended without a snapshot, which is said', async () => {
    await publish(3);
    await run();
    await damaged(keyOp('n3', true));
    await expect(repair()).rejects.toMatchObject({ code: 'state_damaged' });
    await expect(f.apply(keyOp('n3'))).rejects.toMatchObject({ code: 'wrong_root' });
  });
});

describe('a week offline', () => {
  it('costs at most 1.2 times the bytes that changed', async () => {
    const { cold, week } = await weekOffline({ keys: 20_000, changed: 4_000, perRevision: 4 });
    expect(week.bytes).toBeLessThan(1.2 * week.changedBytes);
    expect(cold.diskBytes / 20_000).toBeLessThan(100);
  });
});
