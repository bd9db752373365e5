import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import {
  type ArtifactStore,
  deltaName,
  newSigningKeyPem,
  openStore,
  releaseArtifact,
  segmentName,
  signerFromPem,
  snapshotName,
} from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { canonicalJson } from '#platform';
import { encodeTrustedKeys, type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import type { ChainReport } from './report.js';
import { verifyEnvironment } from './verify-environment.js';

const FIRST_SNAPSHOT = 40;
const SECOND_SNAPSHOT = 100;
const HEAD = 130;
/** the same each time: a chain that is made again is the same one, byte for byte */
const ISSUED_AT = Date.parse('2026-11-01');

let directory: string;
let store: ArtifactStore;
let chain: ChainMaker;

const definition = { name: 'weather', version: 'v1' };
const value = Buffer.from(canonicalJson(definition));
const digest = hash('sha256', value);
const release: Op = { table: TABLE.release, key: Buffer.from(digest, 'hex'), value };

const put = (n: number): Op[] => [
  ...(n === 5 ? [release] : []),
  { table: TABLE.plan, key: Buffer.from(`plan-${n % 50}`), value: Buffer.from(`value ${n}`) },
  { table: TABLE.plan, key: Buffer.from('plan-x'), value: n % 3 === 0 ? null : Buffer.from(`x ${n}`) },
];

const signer = signerFromPem(newSigningKeyPem());
const artifact = releaseArtifact(
  { environment: 'prod', digest, definition, createdAt: null, createdBy: 'somebody', revision: 5, publishedAt: '' },
  signer,
);
let template: string;
let named: ChainMaker['snapshot'];
const newDirectory = (): string => mkdtempSync(join(tmpdir(), 'heliograph-verify-'));
const remove = (path: string): void => rmSync(path, { recursive: true, force: true });

/** A store as it is after a while: 130 revisions, two snapshots, segments. */
beforeAll(async () => {
  template = newDirectory();
  store = openStore(pathToFileURL(template).href);
  chain = new ChainMaker('prod', 1, signer);
  await publishTo(HEAD);
  await store.create(artifact.name, artifact.bytes);
  named = chain.snapshot;
});
afterAll(() => remove(template));

/** A copy of it for each test, and the chain to go on with it. */
beforeEach(() => {
  directory = newDirectory();
  onTestFinished(() => remove(directory));
  cpSync(template, directory, { recursive: true });
  store = openStore(pathToFileURL(directory).href);
  chain = new ChainMaker('prod', 1, signer);
  for (let n = 1; n <= HEAD; n++) chain.seal(put(n), ISSUED_AT);
  chain.snapshot = named;
});

async function publishTo(last: number): Promise<void> {
  while (chain.position.revision < last) {
    const sealed = chain.seal(put(chain.position.revision + 1), ISSUED_AT);
    await store.create(deltaName('prod', sealed.header.revision), sealed.bytes);
    if ([FIRST_SNAPSHOT, SECOND_SNAPSHOT].includes(chain.position.revision)) await chain.putSnapshot(store);
  }
  await chain.putSegments(store);
  await chain.putHead(store);
}

const verify = (trustedKeys: readonly string[] | null = [chain.signer.publicKey]): Promise<ChainReport> =>
  verifyEnvironment({
    store: openStore(pathToFileURL(directory).href),
    environment: 'prod',
    trustedKeys,
    signal: new AbortController().signal,
    onProgress: () => undefined,
  });
const faultsOf = (report: ChainReport): string[] => report.faults.map(({ object, code }) => `${object} ${code}`);
const path = (name: string): string => join(directory, name);

/** Turns over one bit of an object. */
function flip(name: string, at: number): void {
  const bytes = readFileSync(path(name));
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  writeFileSync(path(name), bytes);
}

/** As the master collects what nobody needs. */
function collect(floor: number): void {
  for (let revision = 1; revision <= floor; revision++) rmSync(path(deltaName('prod', revision)));
}

describe('a store that is whole', () => {
  it('is proven: chain, signatures, roots, segments, snapshots and every blob', async () => {
    const report = await verify();
    expect(report).toMatchObject({
      head: { revision: HEAD, epoch: 1, keyId: chain.signer.keyId.toString('hex') },
      revisions: { first: 1, last: HEAD },
      segments: { proven: 2, alone: 0 },
      snapshots: 2,
      releases: 1,
      signatures: 'checked',
      entries: chain.entries.size,
      otherKeys: [],
      faults: [],
      faultCount: 0,
      notes: [],
    });
    expect(report.blobs).toBe(readdirSync(path('prod/blob')).length);
  });

  it('is proven from the snapshot on where what was before it is gone', async () => {
    collect(FIRST_SNAPSHOT);
    const report = await verify();
    expect(faultsOf(report)).toEqual([]);
    expect(report).toMatchObject({
      revisions: { first: FIRST_SNAPSHOT + 1, last: HEAD },
      segments: { proven: 1, alone: 1 },
      entries: chain.entries.size,
    });
  });

  it('needs no revision where the snapshot is that of the head', async () => {
    await chain.putSnapshot(store);
    collect(HEAD);
    expect(await verify()).toMatchObject({ revisions: null, faults: [], entries: chain.entries.size });
  });

  it('may have more than the head names: that is told, and no fault', async () => {
    const sealed = chain.seal(put(1));
    await store.create(deltaName('prod', HEAD + 1), sealed.bytes);
    await store.create(`prod/blob/${'a'.repeat(64)}`, Buffer.from('left behind'));
    expect(await verify()).toMatchObject({
      faultCount: 0,
      notes: [expect.stringMatching(/^1 revisions after the head/), expect.stringMatching(/^1 blobs are named by no/)],
    });
  });

  it('can be read without keys, and then says that no signature was checked', async () => {
    expect(await verify(null)).toMatchObject({ signatures: 'not checked', faultCount: 0, entries: chain.entries.size });
  });

  it('without a revision is whole, too', async () => {
    rmSync(path('prod'), { recursive: true });
    await new ChainMaker('prod', 1, chain.signer).putHead(store);
    expect(await verify()).toMatchObject({ head: { revision: 0 }, faultCount: 0, entries: 0 });
  });
});

describe('R4 a flipped bit anywhere is found, and said where', () => {
  const prefix = 'prod/';
  it('in each object of the store, at its begin, in its middle and at its end', async () => {
    const names = readdirSync(path('prod'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1));
    const blobs = names.filter((name) => name.includes('/blob/')).slice(0, 3);
    expect(names).toContain(artifact.name);
    const some = names.filter((name) => !name.includes('/delta/') && !name.includes('/blob/'));
    for (const name of [...some, ...blobs, ...[1, FIRST_SNAPSHOT, 77, HEAD].map((n) => deltaName('prod', n))]) {
      expect(name.startsWith(prefix)).toBe(true);
      const { length } = readFileSync(path(name));
      for (const at of [0, length >> 1, name.endsWith('.json') ? length - 3 : length - 1]) {
        flip(name, at);
        const report = await verify();
        expect(
          report.faults.map(({ object }) => object),
          `byte ${at} of ${name}`,
        ).toContain(name);
        flip(name, at);
      }
    }
    expect((await verify()).faultCount).toBe(0);
  });
});

describe('what is wrong', () => {
  it('R4 is told once, and everything behind it is proven from the next snapshot on', async () => {
    flip(deltaName('prod', 77), -1);
    const report = await verify();
    expect(faultsOf(report)).toEqual([`${deltaName('prod', 77)} bad_hash`]);
    expect(report.entries).toBe(chain.entries.size);
    rmSync(path(deltaName('prod', 120)));
    const second = await verify();
    expect(faultsOf(second)).toEqual([`${deltaName('prod', 77)} bad_hash`, `${deltaName('prod', 120)} missing`]);
    expect(second.entries).toBeNull(); // nothing after 120 tells what it has changed
  });

  it('R2 is a revision that says another root than its changes lead to, although it is signed', async () => {
    await store.create(
      deltaName('prod', HEAD + 1),
      chain.seal(put(1), Date.now(), { root: Buffer.alloc(32, 7) }).bytes,
    );
    await chain.putHead(store);
    expect(faultsOf(await verify())).toEqual([`${deltaName('prod', HEAD + 1)} wrong_root`]);
  });

  it('R2 is a segment that was signed with other changes than those of its revisions', async () => {
    const other = new ChainMaker('prod', 1, chain.signer);
    for (let n = 1; n <= 64; n++) other.seal(put(n + 1));
    writeFileSync(path(segmentName('prod', 1, 0)), other.segment(1, 0));
    expect(faultsOf(await verify())).toContain(`${segmentName('prod', 1, 0)} fork`);
  });

  it('is a snapshot of another chain, and a blob that is gone', async () => {
    const other = new ChainMaker('prod', 1, chain.signer);
    for (let n = 1; n <= FIRST_SNAPSHOT; n++) other.seal(put(n + 1));
    writeFileSync(path(snapshotName('prod', FIRST_SNAPSHOT)), other.sealSnapshot().manifest);
    for (const [name, blob] of other.sealSnapshot().blobs) await store.create(name, blob);
    expect(faultsOf(await verify())).toEqual([`${snapshotName('prod', FIRST_SNAPSHOT)} fork`]);

    await chain.putSnapshot(store);
    const { blobs } = chain.sealSnapshot();
    const [gone] = blobs.keys();
    rmSync(path(gone ?? ''));
    expect(faultsOf(await verify())).toContain(`${gone} missing`);
  });

  it('is a head that names another revision, one that is too old, one that nobody signed, and none', async () => {
    const write = (bytes: Buffer): void => writeFileSync(path('prod/head.json'), bytes);
    write(chain.head({ hash: hash('sha256', 'x') }));
    expect(faultsOf(await verify())).toEqual(['prod/head.json fork']);
    write(chain.head({ epoch: 0 }));
    expect(faultsOf(await verify())).toEqual(['prod/head.json older_epoch']);
    write(new ChainMaker('prod').head());
    expect(faultsOf(await verify())).toEqual(['prod/head.json untrusted_key']);
    rmSync(path('prod/head.json'));
    expect(faultsOf(await verify())).toEqual(['prod/head.json missing']);
  });

  it('is a release whose name is not the digest of its definition', async () => {
    const op = { table: TABLE.release, key: Buffer.alloc(32, 1), value: Buffer.from('{}') };
    await chain.publish(store, [op]);
    expect(faultsOf(await verify())).toEqual([`${deltaName('prod', HEAD + 1)} wrong_digest`]);
  });

  it('R4 is the artifact of a release that is gone, or is another than the chain has, also where a snapshot names it', async () => {
    collect(FIRST_SNAPSHOT);
    rmSync(path(artifact.name));
    expect(faultsOf(await verify())).toEqual([`${artifact.name} missing`]);
    const other = { ...definition, upstream: 'http://elsewhere' };
    const changed = JSON.stringify({ ...JSON.parse(artifact.bytes.toString()), definition: other });
    writeFileSync(path(artifact.name), changed);
    expect(faultsOf(await verify())).toEqual([`${artifact.name} bad_signature`]);
    expect(faultsOf(await verify(null))).toEqual([`${artifact.name} bad_hash`]);
  });

  it('is not what lies beside the chain and has no number of it', async () => {
    collect(FIRST_SNAPSHOT);
    for (const name of ['0', '-5', '1e2', '0x3', '1', '000000000000'])
      writeFileSync(path(`prod/delta/${name}`), 'stray');
    writeFileSync(path('prod/snapshot/000000000000'), 'stray');
    expect(await verify()).toMatchObject({ revisions: { first: FIRST_SNAPSHOT + 1, last: HEAD }, faultCount: 0 });
  });

  it('R4 is a head that nobody has signed, however far away it says that the chain ends', async () => {
    const write = (bytes: Buffer): void => writeFileSync(path('prod/head.json'), bytes);
    write(new ChainMaker('prod').head({ revision: 900_000_000 }));
    expect(faultsOf(await verify())).toContain('prod/head.json untrusted_key');
    write(Buffer.from(chain.head().toString().replace(`"revision":${HEAD}`, '"revision":900000000')));
    expect(await verify()).toMatchObject({ head: null, revisions: null, faultCount: 1 });
    write(chain.head({ revision: Number.MAX_SAFE_INTEGER }));
    expect(faultsOf(await verify())).toEqual(['prod/head.json malformed']);
  });

  it('is told once of a long gap, and what is behind it is read', async () => {
    const far = snapshotName('prod', 5_000);
    await store.create(far, readFileSync(path(snapshotName('prod', SECOND_SNAPSHOT))));
    writeFileSync(path('prod/head.json'), chain.head({ revision: 5_001, snapshot: { revision: 5_000, bytes: 1 } }));
    const report = await verify();
    expect(report.faultCount).toBeLessThan(60);
    expect(report.faults.map(({ object }) => object)).toContain(far);
  });

  it('is everything that somebody else has signed', async () => {
    const stranger = signerFromPem(newSigningKeyPem());
    const codes = new Set((await verify([stranger.publicKey])).faults.map(({ code }) => code));
    expect(codes).toEqual(new Set(['untrusted_key']));
  });
});

describe('a chain that has changed its key', () => {
  const next = signerFromPem(newSigningKeyPem());
  let first: string;
  beforeEach(async () => {
    first = chain.signer.publicKey;
    const value = encodeTrustedKeys([first, next.publicKey]);
    await chain.publish(store, [{ table: TABLE.setting, key: TRUSTED_KEYS_SETTING, value }]);
    Object.assign(chain, { signer: next });
    await publishTo(HEAD + 70);
  });

  it('is proven by the first key alone, as the chain names the next one', async () => {
    expect(await verify([first])).toMatchObject({ faultCount: 0, otherKeys: [] });
  });

  it('is proven by the newest key alone: the head does, and the hashes that lead to it', async () => {
    // what the first key has signed besides revisions cannot be checked by that
    rmSync(path('prod/segment'), { recursive: true });
    rmSync(path('prod/snapshot'), { recursive: true });
    chain.snapshot = null;
    await chain.putHead(store);
    expect(await verify([next.publicKey])).toMatchObject({ faultCount: 0, otherKeys: [expect.any(String)] });
  });
});

it('reads an environment that is not there as a fault, and a store that is not there as an error', async () => {
  mkdirSync(path('empty'));
  const of = (environment: string, url: string): Promise<ChainReport> =>
    verifyEnvironment({
      store: openStore(url),
      environment,
      trustedKeys: null,
      signal: new AbortController().signal,
      onProgress: () => undefined,
    });
  expect(faultsOf(await of('mars', pathToFileURL(directory).href))).toEqual(['mars/head.json missing']);
  await expect(of('prod', pathToFileURL(path('gone')).href)).rejects.toMatchObject({ code: 'store_unreachable' });
});
