import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { type AppProcess, freePorts, helioOnPath, startApp, until } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let directory: string;
let system: AppProcess;

beforeAll(async () => {
  // as the directory of the project, in which the tutorial is followed
  directory = mkdtempSync(join(tmpdir(), 'heliograph-tutorial-'));
  symlinkSync(join(ROOT, 'docs'), join(directory, 'docs'));
  const [base] = await freePorts(1);
  const env = { HELIO_HOME: join(directory, '.heliograph'), HELIO_PORT_BASE: `${base}` };
  system = await startApp({ app: 'local', env });
  let ended: string | undefined;
  void system.exited.then((how) => (ended = how));
  await until(() => ended ?? system.output().includes('Heliograph is ready'), {
    within: 180_000,
    what: 'npm start to be ready',
  });
  expect(ended, system.output()).toBeUndefined();
});
afterAll(async () => {
  await system?.stop();
  rmSync(directory, { recursive: true });
});

/** What the tutorial has its reader type, one after the other. */
function commands(): string {
  const tutorial = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8');
  return [...tutorial.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block).join('');
}

describe('the tutorial', () => {
  it('does what it says, typed as it stands', async () => {
    const env = {
      PATH: `${helioOnPath()}:${process.env.PATH}`,
      XDG_CONFIG_HOME: join(directory, 'config'),
    };
    const shell = spawn('bash', ['-euo', 'pipefail', '-c', commands()], { cwd: directory, env });
    const [output, errors, [code]] = await Promise.all([text(shell.stdout), text(shell.stderr), once(shell, 'close')]);
    expect({ code, errors: code === 0 ? '' : errors + output }).toEqual({ code: 0, errors: '' });
    // three answers of the upstream, and then nothing that prod serves
    expect(output.match(/"path": "\/events\/7"/g)).toHaveLength(3);
    expect(output).toContain('it was rolled back');
    const left = output.slice(output.indexOf('it was rolled back'));
    expect(left).toMatch(/^dev +.*museum:v1/m);
    expect(left).not.toMatch(/^prod /m);
  });
});
