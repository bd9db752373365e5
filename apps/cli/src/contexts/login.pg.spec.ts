import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, freshDatabase, helio, type Master, onTerminal, startMaster } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'heliograph-login-'));

describe('helio login', () => {
  let master: Master;

  beforeAll(async () => {
    const { url } = await freshDatabase();
    master = await startMaster({ database: url, store: `file://${scratch()}/store` });
  });
  afterAll(() => master?.stop());

  it('keeps a token of standard input for this user alone, and later commands use it', async () => {
    const config = scratch();
    const login = await helio(['login', master.url, '--name', 'here'], { config, input: `${master.adminToken}\n` });
    expect(login).toMatchObject({ code: 0, stdout: `Logged in to ${master.url} as context here.\n` });
    const file = join(config, 'heliograph', 'config.yaml');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toContain(master.adminToken);

    const version = await helio(['version'], { config });
    expect(version).toMatchObject({ code: 0, stdout: `helio  0.1.0\nmaster 0.1.0  ${master.url}\n` });
    const list = await helio(['context', 'list', '-o', 'json'], { config });
    expect(JSON.parse(list.stdout)).toEqual([{ name: 'here', server: master.url, current: true }]);
  });

  it('asks for the token on a terminal, and does not show it', async () => {
    const config = scratch();
    const terminal = await onTerminal(['login', master.url, '--name', 'here'], { config });
    await terminal.answer('Access token for', `${master.adminToken}\r`);
    expect(await terminal.ended).toBe(0);
    expect(terminal.output()).toContain('Logged in to');
    expect(terminal.output()).not.toContain(master.adminToken.slice(4, 20));
  });

  it('keeps nothing of a token that the master does not take', async () => {
    const config = scratch();
    const login = await helio(['login', master.url], { config, input: 'hgt_no_such_token_at_all' });
    expect(login.code).toBe(4);
    expect(login.stderr).toMatch(/\(unauthenticated\)[^]*next: /);
    expect((await helio(['context', 'list', '-o', 'name'], { config })).stdout).toBe('');
  });

  it('does not use a file of tokens that others may read', async () => {
    const config = scratch();
    await helio(['login', master.url], { config, input: master.adminToken });
    const file = join(config, 'heliograph', 'config.yaml');
    chmodSync(file, 0o640);
    const version = await helio(['version'], { config });
    expect(version.code).toBe(1);
    expect(version.stderr).toMatch(/others may read it \(mode 640\)\nnext: chmod 600/);
  });

  it('follows npm start, whose token changes', async () => {
    const [config, home] = [scratch(), scratch()];
    const local = (adminToken: string): void =>
      writeFileSync(join(home, 'local.json'), JSON.stringify({ master: master.url, adminToken, regions: [] }));
    local(master.adminToken);
    expect(await helio(['login', '--local', '--home', home], { config })).toMatchObject({ code: 0 });
    expect(readFileSync(join(config, 'heliograph', 'config.yaml'), 'utf8')).not.toContain(master.adminToken);
    expect(await helio(['version'], { config })).toMatchObject({ code: 0 });
    writeFileSync(join(home, 'local.json'), '{"master":');
    expect(await helio(['version'], { config })).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/local\.json is not what npm start writes there\nnext: /),
    });
  });

  it('sends the token of a context to its own server only', async () => {
    const config = scratch();
    await helio(['login', master.url], { config, input: master.adminToken });
    const otherName = master.url.replace('127.0.0.1', 'localhost');
    const asked = await helio(['login', otherName, '--name', 'other'], { config, input: '' });
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('the token is empty');
  });

  it('says of which token it was that a master does not take', async () => {
    const config = scratch();
    await helio(['login', master.url, '--name', 'here'], { config, input: master.adminToken });
    const next = async (env: Record<string, string>, ...words: string[]) =>
      /^next: .*$/m.exec((await helio(['plan', 'list', ...words], { config, env })).stderr)?.[0];
    expect(await next({ HELIO_TOKEN: 'hgt_nobody' })).toMatch(/this one is of HELIO_TOKEN\.$/);
    const other = ['--server', master.url.replace('127.0.0.1', 'localhost')];
    expect(await next({ HELIO_TOKEN: 'hgt_nobody' }, ...other)).toMatch(/this one is of HELIO_TOKEN\.$/);
    expect(await next({}, ...other)).toMatch(/keeps a token, or set HELIO_TOKEN\.$/);
  });

  it('says where to go where no master is named, and where none answers', async () => {
    expect(await helio(['version'])).toMatchObject({ code: 2, stderr: expect.stringContaining('helio login URL') });
    const [port] = await freePorts(1);
    const nobody = await helio(['version', '--server', `http://127.0.0.1:${port}`]);
    expect(nobody.code).toBe(5);
    expect(nobody.stderr).toMatch(/http:\/\/127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED[^]*next: /);
  });
});
