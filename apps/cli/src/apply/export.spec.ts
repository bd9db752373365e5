import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, helio } from '#harness';
import { afterAll, beforeAll, expect, it } from 'vitest';

const cwd = mkdtempSync(join(tmpdir(), 'helio-export-'));
const api = { kind: 'api', name: 'a', version: '/../../../../pwned' };
let server: Server;

beforeAll(async () => {
  server = createServer((_, answer) => {
    answer.writeHead(200, { 'content-type': 'application/x-ndjson; charset=utf-8' });
    answer.end(
      [api, { ...api, version: 'v1' }, { kind: '__proto__' }].map((one) => `${JSON.stringify(one)}\n`).join(''),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => server.close());

const exportTo = (output: string): Promise<Ended> =>
  helio(['export', '-o', output], {
    cwd,
    env: { HELIO_SERVER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, HELIO_TOKEN: 'x' },
  });

it('writes nothing outside its directory, whatever things are called', async () => {
  mkdirSync(join(cwd, 'e1'));
  expect(await exportTo('e1/e2/e3/out')).toMatchObject({ code: 0, stdout: '3 documents in e1/e2/e3/out\n' });
  expect(readdirSync(cwd)).toEqual(['e1']);
  expect(readdirSync(join(cwd, 'e1/e2'))).toEqual(['e3']);
  expect(readdirSync(join(cwd, 'e1/e2/e3/out'))).toEqual(['apis', 'others.yaml']);
  expect(readdirSync(join(cwd, 'e1/e2/e3/out/apis'))).toEqual(['a@v1.yaml']);
});

it('says of a directory that cannot be written that it cannot', async () => {
  for (const output of ['/proc/export', '/sys/export', '/dev/null/export', '/dev/null']) {
    const refused = await exportTo(output);
    expect(refused.stderr).toMatch(new RegExp(`^helio: ${output} cannot be (written|used): `));
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(existsSync(`${output}/apis`)).toBe(false);
  }
});

it('leaves an empty directory that is there with its mode, behind a link, too', async () => {
  const home = join(cwd, 'mine');
  mkdirSync(home);
  mkdirSync(join(home, 'real'));
  chmodSync(join(home, 'real'), 0o750);
  symlinkSync('real', join(home, 'linked'));
  expect(await exportTo('mine/linked')).toMatchObject({ code: 0 });
  expect((statSync(join(home, 'real')).mode & 0o7777).toString(8)).toBe('750');
  expect(readdirSync(join(home, 'real'))).toEqual(['apis', 'others.yaml']);
  expect(await exportTo('mine/linked')).toMatchObject({ code: 2, stderr: expect.stringContaining('is not empty') });
});

it('removes what an export that was interrupted has left, and nothing of one that runs', async () => {
  const { pid: gone } = spawnSync(process.execPath, ['--version']);
  const left = ['out', 'other'].map((name) => `left/${name}.${gone}.unfinished`);
  const runs = `left/out.${process.pid}.unfinished`;
  for (const name of [...left, runs]) mkdirSync(join(cwd, name, 'apis'), { recursive: true });
  expect(await exportTo('left/out')).toMatchObject({ code: 0 });
  expect(readdirSync(join(cwd, 'left'))).toEqual([`other.${gone}.unfinished`, 'out', `out.${process.pid}.unfinished`]);
});
