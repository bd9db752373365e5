import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const directory = mkdtempSync(join(tmpdir(), 'helio-licences-'));
const script = join(import.meta.dirname, '../scripts/licences.mjs');
const report = join(directory, 'report.csv');
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs the check on a lock file with these packages. @returns what it complains of */
function complaints(packages: object): string[] {
  const lock = join(directory, 'package-lock.json');
  writeFileSync(lock, JSON.stringify({ packages: { '': { name: 'ours' }, ...packages } }));
  const { status, stderr } = spawnSync(process.execPath, [script, report, lock], { encoding: 'utf8' });
  const lines = stderr.split('\n').filter(Boolean);
  expect(status).toBe(lines.length === 0 ? 0 : 1);
  return lines;
}

describe('the check of licences', () => {
  it('takes those of the list, alone and in expressions, and writes all of them down', () => {
    const mit = { version: '1.0.0', license: 'MIT' };
    const packages = {
      'node_modules/a': mit,
      'node_modules/b/node_modules/@scope/c': { version: '2.0.0', license: '(GPL-3.0 OR ISC)' },
      'node_modules/d': { version: '3.0.0', license: 'Apache-2.0 AND MIT', dev: true },
      'node_modules/e': { version: '4.0.0', license: 'MPL-2.0', dev: true },
    };
    expect(complaints(packages)).toEqual([]);
    expect(readFileSync(report, 'utf8').split('\n').slice(0, 3)).toEqual([
      'package,version,licence,use,images',
      '@scope/c,2.0.0,(GPL-3.0 OR ISC),shipped,',
      'a,1.0.0,MIT,shipped,',
    ]);
  });

  it('names each package with another one, with none, and with one that is for tools alone', () => {
    const found = complaints({
      'node_modules/copyleft': { version: '1.0.0', license: 'AGPL-3.0-only' },
      'node_modules/both': { version: '1.0.0', license: 'MIT AND GPL-2.0-only' },
      'node_modules/silent': { version: '1.0.0' },
      'node_modules/own': { version: '1.0.0', license: 'SEE LICENSE IN LICENSE.txt', dev: true },
      'node_modules/file-based': { version: '1.0.0', license: 'MPL-2.0' },
      'node_modules/fine': { version: '1.0.0', license: 'ISC' },
    });
    expect(found.map((line) => line.split(' ')[0])).toEqual(['copyleft', 'both', 'silent', 'own', 'file-based']);
    expect(found[0]).toContain('AGPL-3.0-only');
  });
});
