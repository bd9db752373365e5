import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MODULES = resolve('node_modules');
const HARNESS = resolve('test/harness/needs.ts');
const CONFIG = `
  import { HouseReporter } from ${JSON.stringify(resolve('test/reporter.ts'))};
  export default { test: { reporters: [new HouseReporter()], include: ['*.spec.ts'], retry: 1 } };`;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'heliograph-reporter-'));
  symlinkSync(MODULES, join(dir, 'node_modules'));
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  writeFileSync(join(dir, 'vitest.config.ts'), CONFIG);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs one spec file with a machine that has no services. */
function run(source: string, env: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string; stderr: string } {
  const home = join(dir, 'home');
  mkdirSync(home, { recursive: true });
  const head = `import { beforeAll, describe, expect, it } from 'vitest';
    import { describeWith } from ${JSON.stringify(HARNESS)};`;
  writeFileSync(join(dir, 'one.spec.ts'), `${head}\n${source}`);
  return spawnSync(process.execPath, [join(MODULES, 'vitest/vitest.mjs'), 'run', '--root', dir], {
    encoding: 'utf8',
    env: { HOME: home, PATH: home, NO_COLOR: '1', ...env },
  });
}

const lastLine = (text: string) => text.trimEnd().split('\n').at(-1);

describe('the report of a test run', () => {
  it('ends with the numbers, and counts a file that does not load and a hook that throws as failures', () => {
    const good = run(`it('a', () => {}); it('b', () => {});`);
    expect(lastLine(good.stdout)).toBe('2 passed, 0 failed');
    expect(good.status).toBe(0);

    const bad = run(`it('a', () => {}); it('b', () => expect(1).toBe(2));`);
    expect(lastLine(bad.stdout)).toBe('1 passed, 1 failed');
    expect(bad.stderr).toContain('FAIL one.spec.ts > b');
    expect(bad.stderr).toContain('expected 1 to be 2');
    expect(bad.status).toBe(1);

    expect(lastLine(run(`import './not-there.js';`).stdout)).toBe('0 passed, 1 failed');
    expect(lastLine(run(`beforeAll(() => { throw new Error('x'); }); it('a', () => {});`).stdout)).toBe(
      '0 passed, 1 failed',
    );
    const dead = run(`it('a', () => { process.kill(process.pid, 'SIGKILL'); });`);
    expect(lastLine(dead.stdout)).toBe('0 passed, 1 failed');
    expect(dead.stderr).toContain('FAIL one.spec.ts did not finish');
  });

  it('tells what passed only when it was run once more, and fails where that is more than a few', () => {
    const unsteady = (count: number) =>
      run(`const seen = new Set();
        for (let i = 0; i < ${count}; i++)
          it('t' + i, () => { if (!seen.has(i)) { seen.add(i); throw new Error('the first time'); } });`);
    const few = unsteady(3);
    expect(few.status).toBe(0);
    expect(few.stderr).toContain('UNSTEADY one.spec.ts > t2\n');
    expect(few.stderr).toContain('the first time');
    expect(few.stdout).toMatch(/\nUnsteady: .*\n {2}one.spec.ts > t0\n {2}one.spec.ts > t1\n {2}one.spec.ts > t2\n/);
    expect(lastLine(few.stdout)).toBe('3 passed, 0 failed');
    const many = unsteady(4);
    expect(many.status).toBe(1);
    expect(lastLine(many.stdout)).toBe('4 passed, 1 failed');
  });

  it('shows what was printed only for a file that fails', () => {
    expect(run(`it('a', () => console.log('chatter'));`).stdout).not.toContain('chatter');
    expect(run(`it('a', () => { console.log('clue'); throw new Error('x'); });`).stderr).toContain('clue');
  });

  it('names what was not run here, and why', () => {
    const { status, stdout } = run(`
      it('a', () => {});
      it('b', (context) => context.skip('no IPv6 here'));
      describeWith('versitygw', 'a second server', () => { it('c', () => {}); it('d', () => {}); });`);
    expect(status).toBe(0);
    expect(stdout).toContain('Not run here\n  one.spec.ts > b: no IPv6 here\n');
    expect(stdout).toMatch(/ {2}one\.spec\.ts > a second server \(2 tests\): versitygw is neither on PATH nor in /);
    expect(lastLine(stdout)).toBe('1 passed, 0 failed');
  });

  it('fails on the build server where a service is missing', () => {
    const { status, stdout, stderr } = run(`describeWith('redis', 'limits', () => { it('a', () => {}); });`, {
      CI: 'true',
    });
    expect(status).toBe(1);
    expect(stderr).toContain('redis-server is neither on PATH nor in ');
    expect(lastLine(stdout)).toBe('0 passed, 1 failed');
  });
});
