import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { build, describeWith } from '#harness';
import { requireBinary } from '../harness/services.js';
import { DEPLOY } from './shipped.js';

/** Tenths, of 10: `systemd-analyze security` calls up to 2.5 safe. */
const MOST_EXPOSED = 15;
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SERVICES = ['master', 'replica'] as const;

/** The units as they are, with programs that this machine has. */
function units(): string {
  const directory = mkdtempSync(join(tmpdir(), 'heliograph-units-'));
  for (const name of readdirSync(join(DEPLOY, 'systemd')).filter((file) => /\.(service|socket)$/.test(file))) {
    const text = readFileSync(join(DEPLOY, 'systemd', name), 'utf8');
    writeFileSync(join(directory, name), text.replaceAll('/usr/bin/node', process.execPath));
  }
  return directory;
}

/** Some faults are told with exit code 0. */
function analyze(...args: string[]): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(requireBinary('systemd-analyze'), ['--no-pager', ...args], {
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

describeWith('systemd-analyze', 'deploy/systemd', () => {
  beforeAll(() => build());

  it.each(SERVICES)('systemd has nothing to say against the unit of the %s', (app) => {
    const directory = units();
    const files = readdirSync(directory).filter((name) => name.includes(app));
    expect(files.length).toBeGreaterThan(0);
    const paths = files.map((name) => join(directory, name));
    expect(analyze('verify', '--man=no', ...paths)).toEqual({ status: 0, said: '' });
  });

  it('it would say what is wrong', () => {
    const file = join(units(), 'heliograph-master.service');
    writeFileSync(file, readFileSync(file, 'utf8').replace('Restart=always', 'Restart=sometimes'));
    expect(analyze('verify', '--man=no', file).said).toContain('sometimes');
  });

  it.each(SERVICES)('the %s may do little', (app) => {
    const file = join(units(), `heliograph-${app}.service`);
    const { status, said } = analyze('security', '--offline=true', `--threshold=${MOST_EXPOSED}`, file);
    expect(said).toContain('Overall exposure level');
    expect(status, said).toBe(0);
  });

  it.each(SERVICES)('the %s has the time that it takes to end', (app) => {
    const unit = readFileSync(join(DEPLOY, 'systemd', `heliograph-${app}.service`), 'utf8');
    const main = readFileSync(new URL(`../../apps/${app}/src/main.ts`, import.meta.url), 'utf8');
    const grace = Number(/GRACE_MS = ([\d_]+)/.exec(main)?.[1]?.replaceAll('_', '')) / 1000;
    expect(Number(/^TimeoutStopSec=(\d+)s$/m.exec(unit)?.[1])).toBeGreaterThan(grace);
  });

  it.each(SERVICES)('the %s is started again, however often, unless its settings are wrong', (app) => {
    const unit = readFileSync(join(DEPLOY, 'systemd', `heliograph-${app}.service`), 'utf8');
    expect(/^\[Unit\]\n(?:(?!\[).*\n)*StartLimitIntervalSec=0\n/m.test(unit)).toBe(true);
    const never = /^RestartPreventExitStatus=(.*)$/m.exec(unit)?.[1];
    const settings = spawnSync(process.execPath, [`dist/apps/${app}/src/main.js`], { cwd: ROOT, env: {} });
    const option = spawnSync(process.execPath, [`dist/apps/${app}/src/main.js`, '--chekc'], { cwd: ROOT, env: {} });
    expect([`${settings.status}`, `${option.status}`]).toEqual([never, never]);
  });
});
