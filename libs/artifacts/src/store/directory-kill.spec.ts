import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isSelfDescribing } from '../testing/store-conformance.js';
import { openStore } from './open-store.js';

const root = join(import.meta.dirname, '../../../..');
const built = pathToFileURL(join(root, 'dist/libs/artifacts/src/store/index.js')).href;

/** Creates objects that begin with their own hash, and counts in one that is replaced; says what it was told is done. */
const WRITER = `
  import { createHash, randomBytes, randomInt } from 'node:crypto';
  import { openStore } from '${built}';
  const [url, id] = process.argv.slice(1);
  const store = openStore(url);
  for (let n = 0; ; n++) {
    const body = randomBytes(randomInt(4_000_000));
    const name = 'prod/delta/' + id + '-' + n;
    process.stdout.write('creates ' + name + '\\n');
    await store.create(name, Buffer.concat([createHash('sha256').update(body).digest(), body]));
    process.stdout.write('created ' + name + '\\n');
    const head = await store.get('prod/head.json', 1_000);
    const next = Number(head.bytes) + 1;
    const { kind } = await store.replace('prod/head.json', Buffer.from(String(next)), head.etag);
    if (kind === 'replaced') process.stdout.write('counted ' + next + '\\n');
  }
`;
const ROUNDS = 5;
const WRITERS = 3;

describe('directory store, writers killed', () => {
  it('leaves whole objects only, everything it was told is written, and no lock that holds for ever', async () => {
    execFileSync(process.execPath, [join(root, 'scripts/build.mjs')]);
    const base = mkdtempSync(join(tmpdir(), 'heliograph-kill-'));
    onTestFinished(() => rmSync(base, { recursive: true, force: true }));
    const url = pathToFileURL(base).href;
    const store = openStore(url);
    await store.create('prod/head.json', Buffer.from('0'));
    const said: string[] = [];

    for (let round = 0; round < ROUNDS; round++) {
      const writers = Array.from({ length: WRITERS }, (_, i) => writeUntilKilled(url, `r${round}w${i}`, 2 + round + i));
      said.push(...(await Promise.all(writers)).flat());

      const names = readdirSync(join(base, 'prod/delta'));
      for (const name of names) expect(isSelfDescribing(readFileSync(join(base, 'prod/delta', name))), name).toBe(true);
      for (const name of valuesOf(said, 'created')) expect(existsSync(join(base, name)), name).toBe(true);

      const counted = valuesOf(said, 'counted').map(Number);
      const head = await store.get('prod/head.json', 1_000);
      const count = Number(head?.bytes.toString());
      expect(new Set(counted).size).toBe(counted.length);
      expect(count).toBeGreaterThanOrEqual(Math.max(...counted, 0));
      // A writer may have been killed between the write and the word about it: one for each.
      expect(count - counted.length).toBeLessThanOrEqual((round + 1) * WRITERS);
      expect(await store.replace('prod/head.json', Buffer.from(String(count)), head?.etag ?? '')).toMatchObject({
        kind: 'replaced',
      });
    }
    expect(valuesOf(said, 'created').length).toBeGreaterThan(ROUNDS);
    expect(valuesOf(said, 'counted').length).toBeGreaterThan(ROUNDS);
  }, 360_000);
});

/** What the writer said before it was killed: at any instant of the write, or a little after, that it says at `lines`. */
async function writeUntilKilled(url: string, id: string, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, url, id], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  createInterface(child.stdout).on('line', (line) => {
    said.push(line);
    if (said.length >= lines && line.startsWith('creates ')) setTimeout(() => child.kill('SIGKILL'), randomInt(20));
  });
  const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  expect(signal).toBe('SIGKILL');
  return said;
}

function valuesOf(said: string[], verb: string): string[] {
  return said.flatMap((line) => (line.startsWith(`${verb} `) ? [line.slice(verb.length + 1)] : []));
}
