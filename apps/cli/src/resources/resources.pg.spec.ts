import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, freshDatabase, helio, type HelioOptions, type Master, onTerminal, startMaster } from '#harness';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATIONS } from '../api/operations.js';
import { OFFICE_RESOURCES } from './office-resources.js';
import { RESOURCES } from './resources.js';
import { verbsOf } from './verbs.js';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'heliograph-cli-'));

describe('the commands of resources', () => {
  let master: Master;
  let env: Record<string, string>;
  const run = (line: string, options: HelioOptions = {}): Promise<Ended> =>
    helio(line.split(' '), { ...options, env: { ...env, ...options.env } });
  const done = async (line: string, options?: HelioOptions): Promise<string> => {
    const { code, stdout, stderr } = await run(line, options);
    expect(`${line}: ${code} ${stderr.replace(/^revision .*\n/gm, '')}`).toBe(`${line}: 0 `);
    return stdout;
  };
  // the answer's shape is the master's
  // oxlint-disable-next-line typescript/no-explicit-any
  const json = async (line: string): Promise<any> => JSON.parse(await done(`${line} -o json`));

  beforeAll(async () => {
    const { url } = await freshDatabase();
    master = await startMaster({ database: url, store: `file://${scratch()}/store` });
    env = { HELIO_SERVER: master.url, HELIO_TOKEN: master.adminToken };
  });
  afterAll(() => master?.stop());

  it('make, list, show, change and delete a plan', async () => {
    expect(parse(await done('plan create gold --rate limit=100,per=second,burst=200'))).toMatchObject({
      id: 'gold',
      rate: { limit: 100, per: 'second', burst: 200 },
    });
    expect(await done('plan list')).toMatch(/^ID +RATE +QUOTA +AGE\ngold +100\/second burst 200 +- +\d+s\n$/);
    expect(await done('plan list -o name')).toBe('gold\n');
    expect((await json('plan update gold --quota limit=5,per=month')).quota).toMatchObject({ limit: 5, per: 'month' });
    expect((await json('plan update gold --rate null')).rate).toBeNull();
    const file = join(scratch(), 'plan.yaml');
    writeFileSync(file, 'rate: { limit: 7, per: minute }\n');
    expect((await json(`plan update gold -f ${file} --quota null`)).quota).toBeNull();
    expect((await json('plan get gold')).rate).toMatchObject({ limit: 7, per: 'minute' });
    expect(await run('plan delete gold')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('next: Say --yes.'),
    });
    expect(await done('plan delete gold --yes')).toBe('plan gold: delete is done\n');
    expect(await run('plan get gold')).toMatchObject({ code: 3, stderr: expect.stringContaining('(not_found)') });
  });

  it('follow an API from its OpenAPI file to a promotion', async () => {
    await done('env create dev --position 1');
    await done('env create prod --position 2');
    await done('region create here dev');
    await done('region create eu-west prod');
    await done('plan create bronze --rate limit=10,per=second');
    await done('api create museum v1 /museum');
    const openapi = new URL('../../../../docs/examples/museum.yaml', import.meta.url).pathname;
    const release = await json(
      `release create museum:v1 --openapi ${openapi} --plans bronze --security key --upstream http://127.0.0.1:1`,
    );
    const again = await run(
      `release create museum:v1 --openapi ${openapi} --plans bronze --security key --upstream http://127.0.0.1:1 -o name`,
    );
    expect(again).toMatchObject({
      code: 0,
      stdout: `${release.digest}\n`,
      stderr: 'the same release was there already\n',
    });
    await done(`placement update dev museum:v1 here --release ${release.digest.slice(0, 12)} --reason first`);
    expect(await json(`release get museum:v1 ${release.digest.slice(0, 12)}`)).toMatchObject({
      digest: release.digest,
    });
    expect(await done('placement list --environment dev')).toContain(release.digest.slice(0, 12));

    const promotion = await json('promote museum:v1 --to prod --waves eu-west/* --soak 3600,60 --gates minRequests=0');
    expect(promotion).toMatchObject({ to: 'prod', releases: [{ api: 'museum:v1', release: release.digest }] });
    expect(promotion.waves.map(({ regions }: { regions: string[] }) => regions)).toEqual([['eu-west'], ['*']]);
    const second = await run(`promote museum:v1 --release ${release.digest.slice(0, 8)} --to prod`);
    expect(second).toMatchObject({ code: 6, stderr: expect.stringMatching(/\(promotion_open\)[^]*\nnext: Wait for/) });
    const [open] = await json('promotion list');
    expect(open.waitsFor).toMatch(/^it soaks for another \d+ s$/);
    const unnamed = await run('rollback museum:v1 --in dev --reason test --yes');
    expect(unnamed).toMatchObject({ code: 2, stderr: expect.stringContaining(`${release.digest.slice(0, 12)}  of `) });
    const same = await run(`promote museum:v1 --release ${release.digest} --to dev`);
    expect(same.stderr).toContain(`${release.digest.slice(0, 12)} of museum:v1 serves in dev already: here\n`);
    expect((await json(`promotion pause ${promotion.id} --reason lunch`)).state).toBe('paused');
    expect((await json(`promotion abort ${promotion.id} --reason enough`)).state).toMatch(/^roll(ing|ed)-back$/);
  });

  it('show a secret once, and take revocations only from who was asked', async () => {
    const app = await json('app create crm --owner sales');
    await done(`sub create ${app.id} museum:v1 bronze`);
    const key = await json(`key create ${app.id} --environment prod --name laptop`);
    expect(key.secret).toMatch(/^hg_/);
    expect(JSON.stringify(await json(`key list ${app.id}`))).not.toContain(key.secret);
    const leaked = await json(`key create ${app.id} --environment prod`);
    const found = await run('key leaked --key - -o json', { input: `${leaked.secret}\n` });
    expect(found).toMatchObject({ code: 0, stdout: expect.stringContaining(leaked.id) });
    expect((await helio(['key', 'leaked', '--help'])).stdout).toMatch(
      /--key <text>[^]*-\s+is\s+standard\s+input,\s+@FILE\s+a\s+file/,
    );
    const asked = await onTerminal(['key', 'revoke', app.id, key.id, '--reason', 'lost'], { env });
    await asked.answer('Revoke key', 'n\r');
    expect(await asked.ended).toBe(130);
    expect((await json(`key get ${app.id} ${key.id}`)).status).toBe('active');
    const agreed = await onTerminal(['key', 'revoke', app.id, key.id, '--reason', 'lost'], { env });
    await agreed.answer('Revoke key', 'y\r');
    expect(await agreed.ended).toBe(0);
    expect((await json(`key get ${app.id} ${key.id}`)).status).toBe('revoked');
  });

  it('change what was read, in an editor, and not what came in between', async () => {
    const app = await json('app create billing --owner finance');
    const editor = join(scratch(), 'editor.sh');
    writeFileSync(editor, '#!/bin/sh\nsed -i "s/finance/accounting/" "$1"\n', { mode: 0o755 });
    expect((await json(`app get ${app.id}`)).owner).toBe('finance');
    const edited = await run(`app edit ${app.id} -o json`, { env: { EDITOR: editor } });
    expect(JSON.parse(edited.stdout).owner).toBe('accounting');

    // somebody else changes it while the editor is open
    const url = `${master.url}/v1/applications/${app.id}`;
    const headers = `-H 'authorization: Bearer ${master.adminToken}' -H 'content-type: application/json'`;
    const etag = `$(curl -si ${headers} ${url} | sed -n 's/^etag: //Ip' | tr -d '\\r')`;
    const other = `curl -s -X PATCH ${headers} -H "if-match: ${etag}" -d '{"owner":"audit"}' ${url} >/dev/null`;
    writeFileSync(editor, `#!/bin/sh\n${other}\nsed -i "s/accounting/nobody/" "$1"\n`, { mode: 0o755 });
    const late = await run(`app edit ${app.id}`, { env: { EDITOR: editor } });
    expect(late).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(/kept in (\/\S+)\n[^]*\(precondition_failed\)/),
    });
    expect(readFileSync(/kept in (\S+)/.exec(late.stderr)?.[1] ?? '', 'utf8')).toContain('nobody');
    expect((await json(`app get ${app.id}`)).owner).toBe('audit');
  });

  it('load lines in bulk, and say which were wrong', async () => {
    const lines = [
      '{"kind":"application","id":"shop","name":"Shop","owner":"sales"}',
      '{"kind":"subscription","application":"shop","api":"nothing:v9","plan":"bronze"}',
    ];
    const loaded = await run('import -f -', { input: lines.join('\n') });
    expect(loaded).toMatchObject({ code: 1, stdout: '2 lines: 1 created, 0 updated, 0 unchanged, 1 failed\n' });
    expect(loaded.stderr).toMatch(/^-:2: .*nothing:v9/m);
    expect(await done('import -f -', { input: lines[0] })).toBe(
      '1 lines: 0 created, 0 updated, 1 unchanged, 0 failed\n',
    );
  });

  it('say every faulty field, and what a role may not do', async () => {
    const bad = await run('plan create Gold! --rate limit=0,per=week');
    expect(bad.code).toBe(2);
    expect(bad.stderr).toMatch(/\(invalid_request\)[^]*\n {2}rate\.limit: [^]*\n {2}rate\.per: [^]*\n {2}id: /);
    expect(await run('plan create')).toMatchObject({ code: 2, stderr: expect.stringContaining('missing: id') });
    expect(await run('plan update bronze')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/nothing is named that shall change\nnext: `helio plan update --help`/),
    });
    expect(await run('release diff museum:v1 --from 123456')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('missing: to\n'),
    });
    expect(await run('promote museum:v1 --to nowhere')).toMatchObject({
      code: 3,
      stderr: 'helio: there is no environment "nowhere"\nnext: `helio env list` shows them.\n',
    });
    const { token } = await json('token create someone viewer');
    const refused = await run('plan create silver', { env: { HELIO_TOKEN: token } });
    expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining('(forbidden)') });
  });

  it('list whatever the master lists', async () => {
    const named: Record<string, string> = { environment: 'prod', api: 'museum:v1' };
    const lists = [...verbsOf([...RESOURCES, ...OFFICE_RESOURCES], OPERATIONS)]
      .flatMap(([resource, verbs]) => verbs.map((verb) => ({ resource, verb })))
      .filter(({ verb: { name, operation } }) => name === 'list' && operation.path.every((one) => one.name in named));
    expect(lists.length).toBeGreaterThan(15);
    for (const { resource, verb } of lists)
      await done([resource, 'list', ...verb.operation.path.map(({ name }) => named[name])].join(' '));
  });

  it('show events from the newest on, and those after one in their order', async () => {
    const all = await json('events --all --order asc');
    expect(all.length).toBeGreaterThan(2);
    const newest = await run('events --limit 1 -o name');
    expect(newest.stdout).toBe(`${all.at(-1).id}\n`);
    expect((await json(`events --after ${all[0].id} --all`))[0]).toEqual(all[1]);
  });

  it('page through lists, and say that there is more', async () => {
    for (const name of ['a', 'b', 'c']) await done(`app create page-${name} --owner pages`);
    const some = await run('app list --owner pages --limit 2 -o name');
    expect(some.stdout.trim().split('\n')).toHaveLength(2);
    expect(some.stderr).toBe('there are more: --limit 20, or --all\n');
    expect(await json('app list --owner pages --all')).toHaveLength(3);
    expect(JSON.parse((await run('audit --action application.create --limit 1 -o json')).stdout)).toHaveLength(1);
  });

  it('are coloured on a terminal only, and not where NO_COLOR is set', async () => {
    const bold = '\u001b[1m';
    const terminal = await onTerminal(['plan', 'list'], { env });
    await terminal.ended;
    expect(terminal.output()).toContain(bold);
    const plain = await onTerminal(['plan', 'list'], { env: { ...env, NO_COLOR: '1' } });
    await plain.ended;
    expect(plain.output()).not.toContain('\u001b[');
    expect(await done('plan list')).not.toContain('\u001b');
  });

  it('go on looking until Ctrl-C, and end well', async () => {
    const terminal = await onTerminal(['plan', 'list', '--watch'], { env });
    await terminal.answer('QUOTA', '');
    await done('plan create platinum --rate limit=9,per=second');
    await terminal.answer('platinum', '\u0003');
    expect(await terminal.ended).toBe(0);
  });
});
