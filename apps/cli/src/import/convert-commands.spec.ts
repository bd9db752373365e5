import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helio } from '#harness';
import { describe, expect, it } from 'vitest';

const EXAMPLES = fileURLToPath(new URL('../../../../docs/examples/moving/', import.meta.url));
const KONG = join(EXAMPLES, 'kong.yaml');

const scratch = (): string => mkdtempSync(join(tmpdir(), 'heliograph-moving-'));

describe('helio import kong and tyk', () => {
  it('write documents, lines and a report, and say what comes next', async () => {
    const output = join(scratch(), 'moved');
    const { code, stdout, stderr } = await helio(['import', 'kong', KONG, '-o', output, '-e', 'prod']);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain(`4 APIs, 4 plans, 4 applications, 3 subscriptions, 3 keys in ${output}\n`);
    expect(stdout).toContain(`helio apply -f ${output}`);
    expect(stderr).toMatch(/^closed {2}kong\.yaml:80 services\[partners\]\.plugins\[basic-auth\]: /);
    expect(readdirSync(output).sort()).toEqual(['REPORT.md', 'apis', 'consumers.ndjson', 'plans.yaml']);
    expect(readdirSync(join(output, 'apis'))).toHaveLength(4);
    const report = readFileSync(join(output, 'REPORT.md'), 'utf8');
    expect(report).toContain('- kong.yaml:75 `services[partners].routes[partners].paths[0]`');
    for (const name of readdirSync(output, { recursive: true, encoding: 'utf8' }))
      if (/\./.test(name))
        expect(readFileSync(join(output, name), 'utf8')).not.toMatch(/0123456789abcdef|not-to-be-found/);
  });

  it('read standard input, and several files together', async () => {
    const piped = await helio(['import', 'kong', '-', '-o', join(scratch(), 'x'), '-e', 'prod'], {
      input: readFileSync(KONG),
    });
    expect(piped.stderr).toContain('(standard input):80');
    const files = ['tyk-classic.json', 'tyk-oas.json', 'tyk-policies.json'].map((name) => join(EXAMPLES, name));
    const { stdout } = await helio(['import', 'tyk', ...files, '-o', join(scratch(), 'x'), '-e', 'prod']);
    expect(stdout).toContain('2 APIs, 2 plans, 0 applications');
  });

  it('write nothing where there is something already, or nothing to write', async () => {
    const full = scratch();
    writeFileSync(join(full, 'mine'), '');
    const refused = await helio(['import', 'kong', KONG, '-o', full, '-e', 'prod']);
    expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(`${full} is not empty`) });
    expect(readdirSync(full)).toEqual(['mine']);
    const empty = join(scratch(), 'x');
    const nothing = await helio(['import', 'kong', '-', '-o', empty, '-e', 'prod'], { input: 'a: 1\nb: [\n' });
    expect(nothing).toMatchObject({ code: 2, stdout: '' });
    expect(nothing.stderr).toContain('(standard input):3');
    expect(existsSync(empty)).toBe(false);
  });

  it.each([
    [['import', 'kong', KONG, '-o', '/tmp/x'], '--environment'],
    [['import', 'kong', KONG, '-o', '/tmp/x', '-e', 'Prod!'], 'lower-case letters'],
    [['import', 'kong', KONG, '-o', '/proc/x/y', '-e', 'prod'], '/proc/x/y cannot be written'],
    [['import', 'tike', 'x.json'], '"tike" is nothing that can be imported: kong and tyk are'],
    [['import', '-f', KONG, '--server', 'http://127.0.0.1:1'], `${KONG} does not hold lines of JSON`],
    [['import', 'kong', '/nowhere.yaml', '-o', '/tmp/x', '-e', 'prod'], '/nowhere.yaml cannot be read'],
  ])('%j ends as a fault of usage', async (args, problem) => {
    expect(await helio(args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(problem) });
  });
});
