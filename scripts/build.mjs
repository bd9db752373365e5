// Compiles everything but the specs to dist/, in some seconds, and makes the sources that are made from others: what the command
// line knows of the master's API. Does nothing when dist/ was made from these very files.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
/** what this makes beside dist/: not in git */
const MADE = ['apps/cli/src/api/operations.ts', 'apps/cli/src/api/schema.ts'];
const SCRIPTS = ['scripts/build.mjs', 'scripts/bundle.mjs', 'scripts/master-api.mjs'];
const sources = ['apps', 'libs', 'bench', 'test'].filter((folder) => existsSync(folder));
const stamp = '.built-from';
// By content and not by time: a checkout, a copy or a restored cache gives files any time it likes.
const wanted = digestOf(inputs());
if (builtFrom() !== `${wanted} ${digestOf(MADE)}`) await build();

async function build() {
  // Compiled beside dist/ and then exchanged: a source that does not compile leaves the last build whole, and what runs
  // from dist/ meanwhile never finds half of it.
  const next = `dist.${process.pid}`;
  const previous = `${next}.previous`;
  try {
    if (!compile(next, sources, ['--ignore', ['**/*.spec.ts', ...MADE].join(',')])) return;
    // `#platform` and its like are those of this very tree while it is made, and not those of the dist/ that is there now
    const scope = join(next, 'package.json');
    writeFileSync(scope, JSON.stringify({ type: 'module', imports: librariesInside() }));
    const [{ makeMasterApi }, { bundle }] = await Promise.all([import('./master-api.mjs'), import('./bundle.mjs')]);
    for (const [file, text] of Object.entries(await makeMasterApi(next))) writeWhole(file, text);
    if (!compile(next, MADE, [])) return;
    await bundle(next);
    rmSync(scope);
    writeFileSync(join(next, stamp), `${wanted} ${digestOf(MADE)}`);
    if (existsSync('dist')) renameSync('dist', previous);
    renameSync(next, 'dist');
  } catch (error) {
    if (builtFrom()?.split(' ')[0] !== wanted) throw error; // else another build of the same files came first
  } finally {
    for (const leftover of [next, previous]) rmSync(leftover, { recursive: true, force: true });
  }
}

function compile(next, files, options) {
  const swc = fileURLToPath(import.meta.resolve('@swc/cli/bin/swc.js'));
  const args = [swc, ...files, '--out-dir', next, '--quiet', ...options];
  process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
  return process.exitCode === 0;
}

function librariesInside() {
  const { imports } = JSON.parse(readFileSync('package.json', 'utf8'));
  return Object.fromEntries(
    Object.entries(imports).map(([name, { default: file }]) => [name, file.replace(/^\.\/dist\//, './')]),
  );
}

/** Whole or not at all: who type-checks or tests meanwhile reads it. */
function writeWhole(file, text) {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  writeFileSync(`${file}.${process.pid}`, text);
  renameSync(`${file}.${process.pid}`, file);
}

function builtFrom() {
  const path = join('dist', stamp);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function inputs() {
  const files = sources
    .flatMap((folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)))
    .filter((name) => /(?<!\.spec)\.ts$/.test(name) && !MADE.includes(name));
  return ['.swcrc', 'package.json', 'package-lock.json', ...SCRIPTS, ...files.sort()];
}

function digestOf(files) {
  const hash = createHash('sha256');
  for (const file of files) if (existsSync(file)) hash.update(`${file}\0`).update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}
