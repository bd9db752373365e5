import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, freshDatabase, helio, type Master, startMaster } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'helio-apply-roles-'));
const secret = `whsec_${randomBytes(32).toString('base64')}`;
const cwd = scratch();
const tokens: Record<string, string> = {};
let master: Master;

beforeAll(async () => {
  const { url } = await freshDatabase();
  master = await startMaster({ database: url, store: `file://${scratch()}/store` });
  for (const role of ['viewer', 'publisher', 'operator'])
    tokens[role] = (
      (await master.client.post('/v1/access-tokens', { name: role, role })).body as { token: string }
    ).token;
  writeFileSync(join(cwd, 'plan.yaml'), 'kind: plan\nid: gold\nrate: { limit: 10, per: second }\n');
  writeFileSync(
    join(cwd, 'hook.yaml'),
    "kind: webhook\nid: pager\nurl: { env: HOOK_URL }\ntypes: ['promotion.*']\nsecret: { env: HOOK_SECRET }\n",
  );
});
afterAll(() => master?.stop());

const run = (role: string, args: string[], env: Record<string, string> = {}): Promise<Ended> =>
  helio(args, { cwd, env: { HELIO_SERVER: master.url, HELIO_TOKEN: tokens[role] ?? '', ...env } });
const HOOK = { HOOK_URL: 'https://hooks.example.com/T0/B0/hush-hush', HOOK_SECRET: secret };

describe('a reader', () => {
  it('is told of drift, and what apply would do, and may not apply', async () => {
    const diff = await run('viewer', ['diff', '-f', 'plan.yaml']);
    expect(diff).toMatchObject({ code: 1, stderr: '', stdout: expect.stringContaining('+ plan gold\n') });
    const dry = await run('viewer', ['apply', '-f', 'plan.yaml', '--dry-run']);
    expect(dry).toMatchObject({ code: 0, stdout: diff.stdout });
    expect(dry.stderr).toContain('plan.yaml:1:1: / the role viewer may not create the plan "gold"');
    for (const args of [[], ['--yes']]) {
      const refused = await run('viewer', ['apply', '-f', 'plan.yaml', ...args]);
      expect(refused.code, refused.stderr).toBe(4);
      expect(refused.stderr).toContain('viewer');
    }
    expect(await run('operator', ['apply', '-f', 'plan.yaml', '--yes'])).toMatchObject({ code: 0 });
    expect(await run('viewer', ['diff', '-f', 'plan.yaml'])).toMatchObject({ code: 0 });
    expect(await run('viewer', ['apply', '-f', 'plan.yaml', '--dry-run'])).toMatchObject({ code: 0, stderr: '' });
  });

  it('is told that webhooks are not in what is exported', async () => {
    const all = await run('viewer', ['export']);
    expect(all).toMatchObject({ code: 0, stderr: 'Left out, as the role of this token may not read it: webhook\n' });
    expect(await run('operator', ['export'])).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('a webhook in a file', () => {
  it('is applied with a secret that is referred to, shown nowhere, and not exported', async () => {
    const shown: string[] = [];
    const all = async (role: string, args: string[], env: Record<string, string> = HOOK): Promise<Ended> => {
      const ended = await run(role, args, env);
      shown.push(ended.stdout, ended.stderr);
      return ended;
    };
    const applied = await all('operator', ['apply', '-f', 'hook.yaml', '--yes']);
    expect(applied).toMatchObject({ code: 0, stdout: expect.stringContaining('+ webhook pager\n') });
    expect(applied.stdout).toContain('    /secret: (secret)\n');
    expect(await all('operator', ['diff', '-f', 'hook.yaml'])).toMatchObject({ code: 0 });
    const other = { ...HOOK, HOOK_SECRET: `whsec_${randomBytes(24).toString('base64')}` };
    const changed = await all('operator', ['diff', '-f', 'hook.yaml'], other);
    expect(changed).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^~ webhook pager\n {4}\/secret: \(secret\)\n/),
    });
    expect(await all('operator', ['diff', '-f', 'hook.yaml', '-o', 'json'], other)).toMatchObject({ code: 1 });
    const short = await all('operator', ['apply', '-f', 'hook.yaml', '--yes'], { ...HOOK, HOOK_SECRET: 'hunter-two' });
    expect(short).toMatchObject({ code: 2, stderr: expect.stringContaining('hook.yaml:5:9: /secret must be whsec_') });
    const refused = await all('publisher', ['diff', '-f', 'hook.yaml']);
    expect(refused).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('hook.yaml:1:1: / the role publisher may not see'),
    });
    for (const text of [secret, other.HOOK_SECRET, HOOK.HOOK_URL, 'hunter-two'])
      expect(shown.join('\n')).not.toContain(text);
    expect(await run('operator', ['export', '-o', 'out'])).toMatchObject({ code: 0 });
    const file = readFileSync(join(cwd, 'out/webhooks.yaml'), 'utf8');
    expect(file).toContain(`kind: webhook\nid: pager\nurl: ${HOOK.HOOK_URL}\n`);
    expect(file).not.toContain('secret');
    expect(await run('operator', ['diff', '-f', 'out'])).toMatchObject({ code: 0 });
  });

  it('that has its secret in it is refused before it is sent', async () => {
    writeFileSync(
      join(cwd, 'open.yaml'),
      `kind: webhook\nid: open\nurl: https://hooks.example.com/\ntypes: ['*']\nsecret: ${secret}\n`,
    );
    const refused = await run('operator', ['apply', '-f', 'open.yaml', '--yes']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('open.yaml:5:9: a secret does not stand in a file');
    expect(refused.stderr).not.toContain(secret);
  });
});

describe('the documents of docs/apply.md', () => {
  it('are applied as they stand there', async () => {
    const text = readFileSync(new URL('../../../../docs/apply.md', import.meta.url), 'utf8');
    const documents = /```yaml\n(.*?)```/s.exec(text)?.[1] ?? '';
    const shop = scratch();
    const file = (name: string, content: string): void => writeFileSync(join(shop, name), content);
    file('shop.yaml', documents);
    file('dev.yaml', 'kind: environment\nid: dev\nposition: 10\n');
    file('weather.openapi.yaml', "openapi: 3.1.0\ninfo: { title: W, version: '1' }\npaths: { /today: { get: {} } }\n");
    file('pager.secret', `${secret}\n`);
    const env = {
      HELIO_SERVER: master.url,
      HELIO_TOKEN: master.adminToken,
      WEATHER_URL: 'http://weather.internal:8080',
      PAGER_URL: 'https://hooks.example.com/',
    };
    const applied = await helio(['apply', '-f', shop, '--set', 'docs', '--take', '--yes'], { cwd, env });
    expect(applied, applied.stderr).toMatchObject({ code: 0 });
    for (const kind of ['api weather:v1', 'application crm', 'subscription crm/weather:v1', 'webhook pager'])
      expect(applied.stdout).toContain(` ${kind}\n`);
  });
});
