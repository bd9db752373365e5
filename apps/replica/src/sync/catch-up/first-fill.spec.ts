import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ArtifactStore, deltaName, newSigningKeyPem, openStore, signerFromPem, verifyHead } from '#artifacts';
import { encodeTrustedKeys, type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { createLog } from '#platform';
import { gone, keyOp } from '../../testing/sample-ops.js';
import { rootOf, StateFixture, temporaryDirectory } from '../../testing/state-fixture.js';
import { ChainTrust } from '../chain-trust.js';
import { CatchUp } from './index.js';

let f: StateFixture;
let directory: string;
let store: ArtifactStore;
/** ops of each step that was written */
let steps: number[];
const log = createLog('test', 'silent');

beforeEach(() => {
  f = new StateFixture();
  directory = temporaryDirectory();
  store = openStore(pathToFileURL(directory).href, { create: true });
  steps = [];
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
  await f.end();
});

async function publish(revisions: number, ops = (n: number): Op[] => [keyOp(`n${n}`)]): Promise<void> {
  for (let i = 0; i < revisions; i++) {
    const { bytes, header } = f.chain.seal(ops(f.chain.position.revision + 1));
    await store.create(deltaName('prod', header.revision), bytes);
  }
}

async function run(trusted = () => f.trusted): Promise<void> {
  const onApplied = (ops: number): unknown => steps.push(ops);
  const catchUp = new CatchUp({ reader: store, state: f.store, trusted, check: () => undefined, log, onApplied });
  await catchUp.run(verifyHead(f.chain.head(), 'prod', f.trusted), new AbortController().signal);
}

function expectLevel(): void {
  const { hash, revision } = f.chain.position;
  expect(f.store.position).toMatchObject({ revision, hash: hash.toString('hex'), root: rootOf(f.chain.entries) });
  const snapshot = f.store.snapshot();
  const there = new Map<string, Buffer>();
  for (let table = 1; table < 9; table++)
    for (const { key, value } of snapshot.entries(table))
      there.set(Buffer.concat([Buffer.of(table), key]).toString('hex'), value);
  snapshot.close();
  expect(there).toEqual(new Map(f.chain.entries));
}

const many = (n: number): Op[] => Array.from({ length: 200 }, (_, i) => keyOp(`${n} ${i}`));

describe('an empty disk', () => {
  it('R2 is filled in one step with segments and the revisions after them, its pages full', async () => {
    await publish(150, (n) => [
      ...many(n),
      ...(n % 3 === 0
        ? many(n - 1)
            .slice(0, 50)
            .map(gone)
        : []),
    ]);
    await f.chain.putSegments(store);
    await run();
    expectLevel();
    expect(steps).toEqual([f.chain.entries.size]);
    expect(f.store.diskBytes() / f.chain.entries.size).toBeLessThan(60);
  });

  it('R2 is filled in one step with a snapshot and what changed, came and went after it', async () => {
    await publish(1, () => Array.from({ length: 20_000 }, (_, i) => keyOp(`m${i}`)));
    await publish(300, (n) => [keyOp('m0', n % 2 === 0), keyOp('m1', true), keyOp(`n${n}`)]);
    await f.chain.putSnapshot(store);
    await publish(3, (n) => [gone(keyOp('m2')), keyOp('m1'), keyOp(`n${n}`), ...many(n)]);
    await publish(1, () => [keyOp('m2', true), gone(keyOp('n302')), gone(keyOp('m3'))]);
    await f.chain.putHead(store);
    rmSync(join(directory, deltaName('prod', 1)));
    await run();
    expectLevel();
    expect(steps).toHaveLength(1);
    expect(f.store.diskBytes() / f.chain.entries.size).toBeLessThan(60);
  });

  it('R4 takes what comes before a piece that is no good, and tells that piece by its name', async () => {
    await publish(80);
    await f.chain.putSegments(store);
    const name = deltaName('prod', 70);
    const bytes = (await store.get(name, 1e6))?.bytes as Buffer;
    writeFileSync(join(directory, name), bytes.subarray(1));
    await expect(run()).rejects.toMatchObject({ object: name });
    expect(f.store.position.revision).toBe(69);
    writeFileSync(join(directory, name), bytes);
    await run();
    expectLevel();
  });

  it('R4 a revision whose root is another one is not applied, and neither is anything after it', async () => {
    await publish(70);
    await f.chain.putSegments(store);
    const { bytes, header } = f.chain.seal([keyOp('a')], Date.now(), { root: Buffer.alloc(32, 7) });
    await store.create(deltaName('prod', header.revision), bytes);
    await expect(run()).rejects.toMatchObject({ code: 'wrong_root' });
    expect(f.store.position.revision).toBe(70);
  });

  it('R4 takes nothing that is signed by a key which the chain has taken away before', async () => {
    const other = signerFromPem(newSigningKeyPem());
    const trust = new ChainTrust({ configured: null, joined: [f.chain.signer.publicKey] }, f.store, log);
    const value = encodeTrustedKeys([other.publicKey]);
    await publish(150, (n) =>
      n === 100 ? [{ table: TABLE.setting, key: TRUSTED_KEYS_SETTING, value }] : [keyOp(`n${n}`)],
    );
    await f.chain.putSegments(store);
    await expect(run(trust.keys)).rejects.toMatchObject({ code: 'untrusted_key' });
    expect(f.store.position.revision).toBe(128);
    expect(steps).toHaveLength(1);
  });
});
