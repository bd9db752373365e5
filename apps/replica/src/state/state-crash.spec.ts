import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { SealedRevision } from '#artifacts';
import { ChainMaker, smallDisk } from '#artifacts/testing';
import { type Op, TABLE } from '#model';
import { gone, keyOp, placementOp, planOp, releaseOp, sampleDefinition } from '../testing/sample-ops.js';
import { rootOf, temporaryDirectory } from '../testing/state-fixture.js';
import { openStateReader } from './state-reader.js';
import { StateStore } from './state-store.js';

const ROOT = join(import.meta.dirname, '../../../..');
const builtUrl = (path: string): string => pathToFileURL(join(ROOT, 'dist', path)).href;

/** Told to begin, it applies the revisions that lie in a directory as files, some together, and says where it stands each time. */
const FOLLOWER = `
  import { existsSync, readFileSync } from 'node:fs';
  import { once } from 'node:events';
  import { positionAfter, TrustedKeys, verifyRevision } from '${builtUrl('libs/artifacts/src/index.js')}';
  import { StateStore } from '${builtUrl('apps/replica/src/state/state-store.js')}';
  const [directory, chain, publicKey] = process.argv.slice(1);
  const trusted = new TrustedKeys([publicKey]);
  console.log('loaded');
  await once(process.stdin, 'data');
  const store = StateStore.open(directory, 'prod');
  console.log('open');
  for (let turn = 0; ; turn++) {
    const revisions = [];
    let place = store.chainPosition;
    const fileOf = () => chain + '/' + (place.revision + 1);
    for (let left = [4, 1, 8, 2][turn % 4]; left > 0 && existsSync(fileOf()); left--) {
      const revision = verifyRevision(readFileSync(fileOf()), place, trusted);
      revisions.push(revision);
      place = positionAfter(revision);
    }
    if (revisions.length === 0) break;
    try {
      await store.applyTogether(revisions, Date.now());
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
  /** and all that it has said was heard */
  readonly ended: Promise<unknown>;
  private hasEnded = false;

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
    const lines = createInterface({ input: this.process.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => this.said.push(line));
    this.ended = Promise.all([once(this.process, 'exit'), once(lines, 'close')]).then(() => (this.hasEnded = true));
  }

  /** Waits until it has said a line that begins like this; false when it ended without. */
  async says(beginning: string): Promise<boolean> {
    for (;;) {
      if (this.said.some((line) => line.startsWith(beginning))) return true;
      if (this.hasEnded) return false;
      await sleep(1);
    }
  }

  /** When it has loaded what it needs: from now on its time is spent on the state. */
  async begin(): Promise<this> {
    await this.says('loaded');
    this.tell('begin');
    return this;
  }

  tell(line: string): void {
    this.process.stdin?.write(`${line}\n`);
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

/** As many as a machine that has little else to do gets to in this time, and what the slowest one has to. */
const KILLS = 200;
const LEAST_KILLS = 30;
const LONG_MS = 40_000;
/** State directories that are followed, and killed, at the same time. */
const LANES = 4;
const MOST_MS = 200;
const REVISIONS = 400;

describe('a replica that is killed', () => {
  it('R5 at any instant leaves the last whole revision, never an older one than it said was applied', async () => {
    const chain = randomChain(REVISIONS);
    onTestFinished(() => rmSync(chain.directory, { recursive: true }));
    let cut = 0;
    let applied = 0;
    const began = performance.now();
    const goesOn = (): boolean => cut < LEAST_KILLS || (cut < KILLS && performance.now() - began < LONG_MS);
    const lane = async (): Promise<void> => {
      const directory = temporaryDirectory();
      onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
      let before = 0;
      let next = new Follower(directory, chain);
      while (goesOn()) {
        const follower = await next.begin();
        next = new Follower(directory, chain); // loads meanwhile
        // some while they open the state, most at work
        if (Math.random() < 0.75) await follower.says('applied');
        // the thread that writes takes a while to begin, and few are to be killed before
        if (Math.random() < 0.9) await follower.says('applied');
        await sleep(Math.random() * MOST_MS);
        await follower.kill();
        const ended = follower.said.includes('end');
        if (!ended) cut += 1;
        const revision = chain.expectWhole(directory);
        expect(revision).toBeGreaterThanOrEqual(Math.max(before, follower.applied));
        applied += revision - before;
        before = revision;
        if (revision < REVISIONS) continue;
        rmSync(directory, { recursive: true });
        mkdirSync(directory);
        before = 0;
      }
      await next.kill();
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    // they were killed at work
    expect(applied).toBeGreaterThan(cut);
  }, 360_000);
});

/** How a disk becomes full, and has room again. */
interface SmallDisk {
  directory: string;
  /** shell commands that the follower begins with */
  before: string;
  grow: (follower: Follower) => void;
}

async function expectToOutlast({ directory, before, grow }: SmallDisk): Promise<void> {
  const chain = new ChainOnDisk();
  onTestFinished(() => rmSync(chain.directory, { recursive: true }));
  chain.add([keyOp('k')]);
  const large: Op = { table: TABLE.setting, key: Buffer.from('large'), value: Buffer.alloc(8_000_000, 1) };
  chain.add([keyOp('k', true), large]);
  const killed = await new Follower(directory, chain, before).begin();
  expect(await killed.says('failed')).toBe(true);
  await killed.kill();
  // opened again while there is no room
  const follower = await new Follower(directory, chain, before).begin();
  expect(await follower.says('failed')).toBe(true);
  const reader = openStateReader(directory);
  expect(reader.revision()).toBe(1);
  const snapshot = reader.snapshot();
  expect(snapshot.get(TABLE.key, keyOp('k').key)).toEqual(keyOp('k').value);

  grow(follower);
  follower.tell('there is room');
  expect(await follower.says('end')).toBe(true);
  expect(snapshot.get(TABLE.setting, large.key)).toBeNull();
  expect(reader.revision()).toBe(2);
  const newer = reader.snapshot();
  expect(newer.get(TABLE.setting, large.key)?.equals(large.value as Buffer)).toBe(true);
  expect(newer.changesSince(1)?.entries).toHaveLength(2);
  for (const open of [snapshot, newer]) open.close();
  await reader.close();
  await follower.ended;
  expect(chain.expectWhole(directory)).toBe(2);
}

const OUTLASTS =
  'R5 leaves the last whole revision, readers go on, and the same process applies the next once there is room';

describe.skipIf(process.platform !== 'linux')('a disk that takes no larger files', () => {
  it(OUTLASTS, async () => {
    const directory = temporaryDirectory();
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const grow = ({ process: { pid } }: Follower): void =>
      void execFileSync('prlimit', ['--pid', String(pid), '--fsize=unlimited']);
    // No file beyond 2 MiB: to write past that fails as it does on a full disk.
    await expectToOutlast({ directory, before: 'ulimit -Sf 4096;', grow });
  });
});

it(`a disk that is full: ${OUTLASTS}`, async (context) => {
  const directory = smallDisk(context, '4m');
  const grow = (): void => void execFileSync('mount', ['-o', 'remount,size=64m', directory]);
  await expectToOutlast({ directory, before: '', grow });
});
