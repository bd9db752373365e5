// Compiles everything but the specs to dist/, in some seconds; does nothing when dist/ was made from these very files.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const sources = ['apps', 'libs', 'bench', 'test'].filter((folder) => existsSync(folder));
const stamp = '.built-from';
// By content and not by time: a checkout, a copy or a restored cache gives files any time it likes.
const wanted = digest();
if (builtFrom() !== wanted) await build();

async function build() {
  // Compiled beside dist/ and then exchanged: a source that does not compile leaves the last build whole, and what runs
  // from dist/ meanwhile never finds half of it.
  const next = `dist.${process.pid}`;
  const previous = `${next}.previous`;
  try {
    const swc = fileURLToPath(import.meta.resolve('@swc/cli/bin/swc.js'));
    const options = ['--out-dir', next, '--quiet', '--ignore', '**/*.spec.ts'];
    process.exitCode = spawnSync(process.execPath, [swc, ...sources, ...options], { stdio: 'inherit' }).status ?? 1;
    if (process.exitCode !== 0) return;
    const { bundle } = await import('./bundle.mjs'); // not loaded where there is nothing to do
    await bundle(next);
    writeFileSync(join(next, stamp), wanted);
    if (existsSync('dist')) renameSync('dist', previous);
    renameSync(next, 'dist');
  } catch (error) {
    if (builtFrom() !== wanted) throw error; // else another build of the same files came first
  } finally {
    for (const leftover of [next, previous]) rmSync(leftover, { recursive: true, force: true });
  }
}

function builtFrom() {
  const path = join('dist', stamp);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function digest() {
  const files = sources
    .flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)))
    .filter((name) => /(?<!\.spec)\.ts$/.test(name));
  const hash = createHash('sha256');
  for (const file of [
    '.swcrc',
    'package.json',
    'package-lock.json',
    'scripts/build.mjs',
    'scripts/bundle.mjs',
    ...files.sort(),
  ]) {
    hash.update(`${file}\0`).update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex');
}
