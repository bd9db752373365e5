import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ArtifactStore, deltaName, openStore } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { until } from '#harness';
import { type Op, TABLE } from '#model';
import { StateStore } from '../../state/state-store.js';
import { gone, keyOp } from '../../testing/sample-ops.js';
import { rootOf, temporaryDirectory } from '../../testing/state-fixture.js';

const ROOT = join(import.meta.dirname, '../../../../..');
const built = (path: string): string => pathToFileURL(join(ROOT, 'dist', path)).href;

/** Goes to the head of a store; after a failure once more, when it is told so. */
const TRAVELLER = `
  import { once } from 'node:events';
  import { openStore, TrustedKeys, verifyHead } from '${built('libs/artifacts/src/index.js')}';
  import { createLog } from '${built('libs/platform/src/index.js')}';
  import { StateStore } from '${built('apps/replica/src/state/state-store.js')}';
  import { CatchUp } from '${built('apps/replica/src/sync/catch-up/index.js')}';
  const [directory, url, publicKey, headName] = process.argv.slice(1);
  const keys = new TrustedKeys([publicKey]);
  const state = StateStore.open(directory, 'prod');
  const reader = openStore(url, {});
  const head = verifyHead((await reader.get(headName, 4096)).bytes, 'prod', keys);
  const onApplied = () => console.log('applied');
  const catchUp = new CatchUp({ reader, state, trusted: () => keys, check: () => undefined, log: createLog('test', 'silent'), onApplied });
  console.log('open');
  for (;;) {
    try {
      await catchUp.run(head, new AbortController().signal);
      break;
    } catch (error) {
      console.log('failed ' + error.code + ' ' + error.message);
      await once(process.stdin, 'data');
    }
  }
  console.log('end');
  process.exit(0);
`;

/** The one that names the snapshot's revision. */
const OLD_HEAD = 'prod/old-head.json';
const chain = new ChainMaker();
const storeDirectory = temporaryDirectory();
const url = pathToFileURL(storeDirectory).href;
const roots = new Map<number, string>([[0, rootOf(new Map())]]);
const keys = (from: number, count: number): Op[] => Array.from({ length: count }, (_, i) => keyOp(`key ${from + i}`));
const large: Op = { table: TABLE.setting, key: Buffer.from('large'), value: Buffer.alloc(8_000_000, 1) };

async function publish(store: ArtifactStore, ops: Op[]): Promise<void> {
  const { bytes, header } = chain.seal(ops);
  roots.set(header.revision, header.root.toString('hex'));
  await store.create(deltaName('prod', header.revision), bytes);
}

/** A snapshot without a way to it, segments after it, and single revisions after these. */
beforeAll(async () => {
  const store = openStore(url, { create: true });
  for (let n = 0; n < 63; n++) chain.seal(keys(n * 500, 500));
  const { header } = chain.seal([large]);
  roots.set(header.revision, header.root.toString('hex'));
  await chain.putSnapshot(store);
  writeFileSync(join(storeDirectory, OLD_HEAD), chain.head());
  for (let n = 0; n < 150; n++) await publish(store, [...keys(n * 100, 100).map(gone), ...keys(100_000 + n * 50, 50)]);
  await chain.putSegments(store);
  await chain.putHead(store);
  await store.close();
});
afterAll(() => rmSync(storeDirectory, { recursive: true }));

class Traveller {
  readonly said: string[] = [];
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;

  constructor(directory: string, before = '', head = 'prod/head.json') {
    const command = `${before} exec "$0" --input-type=module -e "$SCRIPT" "$@"`;
    const args = ['-c', command, process.execPath, directory, url, chain.signer.publicKey, head];
    this.process = spawn('sh', args, {
      env: { ...process.env, SCRIPT: TRAVELLER },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.ended = once(this.process, 'exit');
    createInterface({ input: this.process.stdout as NodeJS.ReadableStream }).on('line', (line) => this.said.push(line));
  }

  says(beginning: string): Promise<unknown> {
    return until(() => this.said.some((line) => line.startsWith(beginning)), { what: beginning, every: 2 });
  }
}

/** The state is one whole revision of the chain. */
async function expectWhole(directory: string): Promise<number> {
  const state = StateStore.open(directory, 'prod');
  const { revision, root } = state.position;
  const snapshot = state.snapshot();
  const entries = new Map<string, Buffer>();
  for (let table = 1; table < 9; table++)
    for (const { key, value } of snapshot.entries(table))
      entries.set(Buffer.concat([Buffer.of(table), key]).toString('hex'), value);
  snapshot.close();
  await state.close();
  expect(roots.get(revision)).toBe(root);
  expect(rootOf(entries)).toBe(root);
  return revision;
}

describe('a replica that is killed while it catches up', () => {
  it('R5 R3 has one whole revision each time, never an older one than before', async () => {
    const directory = temporaryDirectory();
    let between = 0;
    // How long a whole trip takes on this machine now.
    const whole = new Traveller(directory);
    await whole.says('open');
    const began = performance.now();
    await whole.says('end');
    const tripMs = performance.now() - began;
    await whole.ended;
    expect(await expectWhole(directory)).toBe(chain.position.revision);
    // An empty disk is filled in one step; from the snapshot's revision on there are several.
    const begun = temporaryDirectory();
    await new Traveller(begun, '', OLD_HEAD).ended;
    let before = 0;
    const startAnew = (empty: boolean): void => {
      rmSync(directory, { recursive: true });
      if (empty) mkdirSync(directory);
      else cpSync(begun, directory, { recursive: true });
      before = empty ? 0 : 64;
    };
    startAnew(true);
    // some more where all of them came too early or too late, as they may
    for (let kills = 0; kills < 12 || (between === 0 && kills < 100); kills++) {
      const traveller = new Traveller(directory);
      await traveller.says('open');
      await sleep(Math.random() * tripMs * 1.1);
      traveller.process.kill('SIGKILL');
      await traveller.ended;
      const revision = await expectWhole(directory);
      expect(revision).toBeGreaterThanOrEqual(before);
      if (revision > 64 && revision < chain.position.revision) between += 1;
      before = revision;
      if (revision === 0 || revision === chain.position.revision) startAnew(kills % 3 === 0);
    }
    for (const each of [directory, begun]) rmSync(each, { recursive: true });
    expect(between).toBeGreaterThan(0);
  }, 360_000);
});

describe.skipIf(process.platform !== 'linux')('a disk that is full while a snapshot is taken over', () => {
  it('R5 leaves what was there, and the same process goes on once there is room', async () => {
    const directory = temporaryDirectory();
    // No file beyond 2 MiB: to write past that fails as it does on a full disk.
    const traveller = new Traveller(directory, 'ulimit -Sf 4096;');
    await traveller.says('failed state_write_failed');
    expect(traveller.said).not.toContain('applied');
    execFileSync('prlimit', ['--pid', String(traveller.process.pid), '--fsize=unlimited']);
    traveller.process.stdin?.write('there is room\n');
    await traveller.says('end');
    await traveller.ended;
    expect(await expectWhole(directory)).toBe(chain.position.revision);
    rmSync(directory, { recursive: true });
  }, 360_000);
});
