// `npm run boundaries`: holds the tree to the rules of .dependency-cruiser.mjs, after it has seen each of them fail on a
// planted violation. A rule whose pattern no longer matches anything would otherwise be green for ever.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import config from '../.dependency-cruiser.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** [file, its source, the rules it must break] */
const planted = [
  ['libs/platform/src/index.ts', '', []],
  ['libs/model/src/index.ts', "export * from '#platform';", []],
  ['libs/throttle/src/index.ts', "export * from '#model';", []],
  ['libs/artifacts/src/index.ts', "export * from '#model';", []],
  ['libs/artifacts/src/inner.ts', 'export const inner = 1;', []],
  ['libs/artifacts/src/testing/index.ts', "import 'vitest'; export * from '../inner.js';", []],
  ['libs/artifacts/src/good.spec.ts', "import '#artifacts/testing'; import '#harness'; import 'fast-check';", []],
  [
    'apps/replica/src/main.ts',
    "import '#artifacts'; import '#throttle'; import '@nestjs/core'; import './nest.js';",
    [],
  ],
  ['apps/replica/src/nest.ts', "import type { Module } from '@nestjs/common'; export type { Module };", []],
  ['apps/replica/src/gateway/good.ts', "import '#model'; import 'undici'; import 'node:http';", []],
  ['test/harness/index.ts', "import '#artifacts/testing'; import '../../apps/replica/src/main.js';", []],
  ['bench/good.ts', "import '#harness';", []],

  ['apps/master/src/app.ts', "import '../../replica/src/nest.js';", ['apps-stand-alone']],
  ['libs/artifacts/src/app.ts', "import '../../../apps/replica/src/nest.js';", ['libs-know-no-app']],
  ['libs/platform/src/up.ts', "import '#throttle';", ['platform-knows-nothing']],
  ['libs/model/src/up.ts', "import type {} from '#artifacts';", ['model-knows-platform-only']],
  ['libs/throttle/src/across.ts', "import '#artifacts';", ['throttle-and-artifacts-apart']],
  ['libs/artifacts/src/across.ts', "import '#throttle';", ['throttle-and-artifacts-apart']],
  [
    'apps/master/src/inner.ts',
    "import '../../../libs/artifacts/src/inner.js';",
    ['libs-by-their-index', 'libs-by-their-name'],
  ],
  ['apps/master/src/path.ts', "import '../../../libs/model/src/index.js';", ['libs-by-their-name']],
  ['libs/throttle/src/path.ts', "import '../../model/src/index.js';", ['libs-by-their-name']],
  ['apps/master/src/testing.ts', "import '#artifacts/testing';", ['testing-for-tests']],
  ['apps/master/src/harness.ts', "import '#harness';", ['testing-for-tests']],
  ['libs/artifacts/src/spec.ts', "import './good.spec.js';", ['testing-for-tests']],
  ['apps/replica/src/gateway/nest.ts', "import '@nestjs/common';", ['gateway-without-framework']],
  ['apps/replica/src/gateway/far.ts', "import '../nest.js';", ['gateway-without-framework']],
  ['libs/throttle/src/algorithm/rx.ts', "import type { Observable } from 'rxjs';", ['algorithm-without-framework']],
  ['apps/master/src/dev.ts', "import 'fast-check';", ['product-without-dev-dependencies']],
  ['apps/master/src/circle-a.ts', "import './circle-b.js';", ['no-circles']],
  ['apps/master/src/circle-b.ts', "import './circle-a.js';", []], // the other half of the same circle
  ['apps/master/src/lost.ts', "import './not-there.js'; import '#nowhere';", ['everything-resolves']],
];

const faults = [...missedPlants(), ...unplantedRules()];
for (const fault of faults) console.error(fault);
const tree = depcruise(root, 'err');
process.stdout.write(tree.stdout + tree.stderr);
process.exitCode = faults.length === 0 && tree.status === 0 ? 0 : 1;
if (process.exitCode === 0) console.log(`each of the ${config.forbidden.length} rules was seen to fail where it must`);

function missedPlants() {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-boundaries-'));
  try {
    for (const name of ['package.json', 'tsconfig.json']) cpSync(join(root, name), join(dir, name));
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
    for (const [file, source] of planted) {
      mkdirSync(dirname(join(dir, file)), { recursive: true });
      writeFileSync(join(dir, file), source);
    }
    const { stdout, stderr } = depcruise(dir, 'json');
    if (stdout === '') return [`dependency-cruiser did not run on the planted tree:\n${stderr}`];
    const found = new Map(planted.map(([file]) => [file, new Set()]));
    for (const { from, rule } of JSON.parse(stdout).summary.violations) found.get(from).add(rule.name);
    return planted.flatMap(([file, source, rules]) => {
      const [expected, actual] = [rules.join(', ') || 'nothing', [...found.get(file)].sort().join(', ') || 'nothing'];
      return expected === actual ? [] : [`planted ${file} (${source}) must break ${expected}; it broke ${actual}`];
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function unplantedRules() {
  const seen = new Set(planted.flatMap(([, , rules]) => rules));
  return config.forbidden.filter(({ name }) => !seen.has(name)).map(({ name }) => `no planted violation for ${name}`);
}

function depcruise(cwd, outputType) {
  const cli = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const folders = ['apps', 'libs', 'bench', 'test'].filter((folder) => existsSync(join(cwd, folder)));
  const args = [cli, '--config', join(root, '.dependency-cruiser.mjs'), '--output-type', outputType, ...folders];
  return spawnSync(process.execPath, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 28 });
}
