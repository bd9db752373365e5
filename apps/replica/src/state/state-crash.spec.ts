import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { SealedRevision } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { type Op, TABLE } from '#model';
import { gone, keyOp, placementOp, planOp, releaseOp, sampleDefinition } from '../testing/sample-ops.js';
import { rootOf, temporaryDirectory } from '../testing/state-fixture.js';
import { openStateReader } from './state-reader.js';
import { StateStore } from './state-store.js';

const ROOT = join(import.meta.dirname, '../../../..');
const builtUrl = (path: string): string => pathToFileURL(join(ROOT, 'dist', path)).href;

/** Applies the revisions that lie in a directory as files, and says each number once `apply` has resolved. */
const FOLLOWER = `
  import { existsSync, readFileSync } from 'node:fs';
  import { once } from 'node:events';
  import { TrustedKeys, verifyRevision } from '${builtUrl('libs/artifacts/src/index.js')}';
  import { StateStore } from '${builtUrl('apps/replica/src/state/state-store.js')}';
  const [directory, chain, publicKey] = process.argv.slice(1);
  const trusted = new TrustedKeys([publicKey]);
  const store = StateStore.open(directory, 'prod');
  console.log('open');
  for (;;) {
    const file = chain + '/' + (store.position.revision + 1);
    if (!existsSync(file)) break;
    try {
      await store.apply(verifyRevision(readFileSync(file), store.chainPosition, trusted), Date.now());
      console.log('applied ' + store.position.revision);
    } catch (error) {
      console.log('failed ' + error.message);
      await once(process.stdin, 'data');
    }
  }
  console.log('end');
  process.exit(0);
`;

beforeAll(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.mjs')]);
});

class Follower {
  readonly said: string[] = [];
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;

  constructor(directory: string, chain: ChainOnDisk, before = '') {
    const command = `${before} exec "$0" --input-type=module -e "$SCRIPT" "$@"`;
    this.process = spawn(
      'sh',
      ['-c', command, process.execPath, directory, chain.directory, chain.maker.signer.publicKey],
      {
        env: { ...process.env, SCRIPT: FOLLOWER },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    this.ended = once(this.process, 'exit');
    createInterface({ input: this.process.stdout as NodeJS.ReadableStream }).on('line', (line) => this.said.push(line));
  }

  /** Waits until it has said a line that begins like this; false when it ended without. */
  async says(beginning: string): Promise<boolean> {
    for (;;) {
      if (this.said.some((line) => line.startsWith(beginning))) return true;
      if (this.process.exitCode !== null || this.process.signalCode !== null) return false;
      await sleep(1);
    }
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  /** the newest revision that it said was applied */
  get applied(): number {
    return Math.max(0, ...this.said.map((line) => Number(/^applied (\d+)/.exec(line)?.[1] ?? 0)));
  }
}

class ChainOnDisk {
  readonly maker = new ChainMaker();
  readonly directory = temporaryDirectory();
  readonly revisions: SealedRevision[] = [];

  add(ops: Op[]): void {
    const sealed = this.maker.seal(ops);
    this.revisions.push(sealed);
    writeFileSync(join(this.directory, String(sealed.header.revision)), sealed.bytes);
  }

  /** The state's position, root, entries and held entries are those after one whole revision. */
  expectWhole(directory: string): number {
    const store = StateStore.open(directory, 'prod');
    try {
      const { revision, hash, root } = store.position;
      const snapshot = store.snapshot();
      const entries = new Map<string, Buffer>();
      for (let table = 1; table < 127; table++) {
        for (const { key, value } of snapshot.entries(table))
          entries.set(Buffer.concat([Buffer.of(table), key]).toString('hex'), value);
      }
      snapshot.close();
      const sealed = this.revisions[revision - 1];
      if (sealed) expect([hash, root]).toEqual([sealed.hash.toString('hex'), sealed.header.root.toString('hex')]);
      expect(rootOf(entries)).toBe(root);
      return revision;
    } finally {
      void store.close();
    }
  }
}

function randomChain(revisions: number): ChainOnDisk {
  const chain = new ChainOnDisk();
  const random = (below: number): number => Math.floor(Math.random() * below);
  for (let n = 0; n < revisions; n++) {
    const ops = Array.from({ length: 1 + random(200) }, () => {
      const op = keyOp(`key ${random(1000)}`, random(2) === 0);
      return random(4) === 0 ? gone(op) : op;
    });
    const release = releaseOp(sampleDefinition(`api-${n}`, 'http://a'));
    if (random(5) === 0) ops.push(release, placementOp(`api-${n}:v1`, '*', release), planOp(`plan-${n}`));
    if (random(10) === 0)
      ops.push({ table: TABLE.setting, key: Buffer.from('large'), value: Buffer.alloc(random(2_000_000), n) });
    chain.add([...new Map(ops.map((op) => [`${op.table}/${op.key.toString('hex')}`, op])).values()]);
  }
  return chain;
}

describe('a replica that is killed', () => {
  it('R5 at any instant leaves the last whole revision, never an older one than it said was applied', async () => {
    const chain = randomChain(400);
    const directory = temporaryDirectory();
    onTestFinished(() => [directory, chain.directory].forEach((path) => rmSync(path, { recursive: true })));
    let cut = 0;
    let before = 0;
    for (let rounds = 0; cut < 30 && rounds < 120; rounds++) {
      const follower = new Follower(directory, chain);
      await follower.says('open');
      await sleep(Math.random() * 150);
      await follower.kill();
      if (!follower.said.includes('end')) cut += 1;
      const revision = chain.expectWhole(directory);
      expect(revision).toBeGreaterThanOrEqual(Math.max(before, follower.applied));
      before = revision;
      if (revision < 400) continue;
      rmSync(directory, { recursive: true });
      mkdirSync(directory);
      before = 0;
    }
    expect(cut).toBe(30);
  }, 360_000);
});

describe.skipIf(process.platform !== 'linux')('a disk that is full', () => {
  it('R5 leaves the last whole revision, readers go on, and the same process applies the next once there is room', async () => {
    const chain = new ChainOnDisk();
    chain.add([keyOp('k')]);
    const large: Op = { table: TABLE.setting, key: Buffer.from('large'), value: Buffer.alloc(8_000_000, 1) };
    chain.add([keyOp('k', true), large]);
    const directory = temporaryDirectory();
    onTestFinished(() => [directory, chain.directory].forEach((path) => rmSync(path, { recursive: true })));
    // No file beyond 2 MiB: to write past that fails as it does on a full disk.
    const follower = new Follower(directory, chain, 'ulimit -Sf 4096;');
    expect(await follower.says('failed')).toBe(true);
    const reader = openStateReader(directory);
    expect(reader.revision()).toBe(1);
    const snapshot = reader.snapshot();
    expect(snapshot.get(TABLE.key, keyOp('k').key)).toEqual(keyOp('k').value);

    execFileSync('prlimit', ['--pid', String(follower.process.pid), '--fsize=unlimited']);
    follower.process.stdin?.write('there is room\n');
    expect(await follower.says('end')).toBe(true);
    expect(snapshot.get(TABLE.setting, large.key)).toBeNull();
    expect(reader.revision()).toBe(2);
    const newer = reader.snapshot();
    expect(newer.get(TABLE.setting, large.key)?.equals(large.value as Buffer)).toBe(true);
    expect(newer.changesSince(1)).toHaveLength(2);
    for (const open of [snapshot, newer]) open.close();
    await reader.close();
    await follower.ended;
    expect(chain.expectWhole(directory)).toBe(2);
  });
});
