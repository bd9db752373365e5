import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  type Ended,
  freePorts,
  freshDatabase,
  helio,
  type HelioOptions,
  type Master,
  onTerminal,
  startMaster,
} from '#harness';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const scratch = (): string => mkdtempSync(join(tmpdir(), 'helio-apply-'));
let master: Master;
let cwd: string;

beforeAll(async () => {
  const { url } = await freshDatabase();
  master = await startMaster({ database: url, store: `file://${scratch()}/store` });
  cwd = scratch();
});
afterAll(() => master?.stop());

const optionsOf = (env: Record<string, string> = {}): HelioOptions => ({
  cwd,
  env: { HELIO_SERVER: master.url, HELIO_TOKEN: master.adminToken, ...env },
});
const run = (args: string[], env: Record<string, string> = {}, input?: string): Promise<Ended> =>
  helio(args, { ...optionsOf(env), input });

function write(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true });
    writeFileSync(join(cwd, name), text);
  }
}

const SHOP = {
  'shop/pipeline.yaml': `kind: environment
id: dev
position: 10
---
kind: region
id: lab
environment: dev
---
kind: plan
id: gold
rate: { limit: 10, per: second }
`,
  'shop/apis/weather.yaml': `# yaml-language-server: $schema=../../../docs/apply.schema.json
kind: api
name: weather
version: v1
openapi: ./weather.openapi.yaml
overrides:
  upstream: { targets: [{ url: { env: WEATHER_URL } }] }
  plans: [gold]
serve:
  dev: '*'
`,
  'shop/apis/weather.openapi.yaml': `openapi: 3.0.0
info: { title: Weather, version: 1.0.0 }
paths:
  /today:
    get: { responses: { '200': { description: it rains } } }
`,
  'shop/clients.yaml': `kind: application
id: crm
name: CRM
---
kind: subscription
application: crm
api: weather:v1
plan: gold
`,
};
const WEATHER = { WEATHER_URL: 'http://weather.internal:8080' };

beforeEach(() => {
  rmSync(cwd, { recursive: true, force: true });
  write(SHOP);
});

describe('helio apply', () => {
  it('shows what it would do, and does nothing where nobody can be asked', async () => {
    const asked = await run(['apply', '-f', 'shop'], WEATHER);
    expect(asked.code).toBe(2);
    expect(asked.stderr).toContain('Say --yes');
    expect(asked.stdout).toMatch(
      /^\+ environment dev\n[^]*\+ api weather:v1\n[^]*6 to create, 0 to change, 0 to delete; 0 as/,
    );
    expect((await run(['apply', '-f', 'shop', '--dry-run'], WEATHER)).stdout).toBe(asked.stdout);
  });

  it('asks on a terminal, applies what was looked at, and has nothing to do then', async () => {
    const terminal = await onTerminal(['apply', '-f', 'shop'], optionsOf(WEATHER));
    await terminal.answer('Apply?', 'y\r');
    expect(await terminal.ended, terminal.output()).toBe(0);
    expect(terminal.output()).toMatch(/Applied: dev@\d+/);
    const again = await run(['apply', '-f', 'shop'], WEATHER);
    expect(again).toMatchObject({ code: 0, stdout: '0 to create, 0 to change, 0 to delete; 6 as they should be\n' });
    expect(await run(['diff', '-f', 'shop'], WEATHER)).toMatchObject({ code: 0 });
  });

  it('tells drift by how diff ends, and does not show what a reference stands for', async () => {
    const secret = 'http://user-of-weather.internal:8080';
    const diff = await run(['diff', '-f', 'shop'], { WEATHER_URL: secret });
    expect(diff.code).toBe(1);
    expect(diff.stdout).toMatch(
      /^~ api weather:v1\n[^]*\/definition\/upstream\/targets\/0\/url: \(secret\) -> \(secret\)/,
    );
    expect(diff.stdout).not.toContain(secret);
    const json = await run(['diff', '-f', 'shop', '-o', 'json'], { WEATHER_URL: secret });
    expect(JSON.stringify(JSON.parse(json.stdout))).not.toContain(secret);
    const names = await run(['diff', '-f', 'shop', '-o', 'name'], { WEATHER_URL: secret });
    expect(names).toMatchObject({ code: 1, stdout: 'api/weather:v1\n' });
  });

  it('says in which file, line and column everything stands that is wrong', async () => {
    write({
      'shop/pipeline.yaml': `${SHOP['shop/pipeline.yaml']}---\nkind: plan\nid: silver\nrate:\n  limit: 0\n  per: second\n`,
      'shop/clients.yaml': `kind: application\nid: crm\n`,
      'shop/apis/tides.yaml': 'kind: api\nname: tides\nversion: v1\ndefinition: tides.json\n',
      'shop/apis/tides.json':
        '{\n  "routes": [{ "method": "GET", "path": "tide" }],\n  "security": "open", "plans": [],\n  "upstream": { "targets": [] }\n}\n',
      'shop/apis/weather.openapi.yaml':
        'openapi: 3.0.0\ninfo: { title: Weather, version: 1.0.0 }\npaths:\n  /today: { get: 5 }\n',
    });
    const refused = await run(['apply', '-f', 'shop', '--yes'], WEATHER);
    expect(refused.code, refused.stderr).toBe(2);
    for (const place of [
      'shop/pipeline.yaml:16:10: /rate/limit',
      'shop/clients.yaml:1:1: /name',
      'shop/apis/tides.json:2:41: /definition/routes/0/path',
      'shop/apis/weather.openapi.yaml:4:3: /openapi',
    ])
      expect(refused.stderr).toContain(place);
  });

  it('tells what a file should not hold beside all else that is wrong, and has not sent it', async () => {
    write({
      'hook.yaml': "kind: webhook\nid: h\nurl: { env: NOT_THERE }\ntypes: ['*']\nsecret: hush-hush\nroutes: 1\n",
      'twice.yaml': 'kind: plan\nid: dd\n---\nkind: plan\nid: dd\n---\nkind: plam\n',
    });
    const refused = await run(['apply', '-f', 'hook.yaml', 'twice.yaml', '--yes']);
    expect(refused.code).toBe(2);
    expect(refused.stderr.split('\n').filter((line) => line.startsWith('  '))).toEqual([
      '  hook.yaml:3:6: the environment variable NOT_THERE is not set',
      expect.stringMatching(/^ {2}hook\.yaml:5:9: a secret does not stand in a file/),
      expect.stringMatching(/^ {2}hook\.yaml:6:9: \/routes is not a known field/),
      expect.stringMatching(/^ {2}twice\.yaml:4:1: \/ is about the plan "dd", as twice\.yaml:1:1 is/),
      expect.stringMatching(/^ {2}twice\.yaml:7:7: \/kind must be one of/),
    ]);
    expect(refused.stderr).not.toContain('hush-hush');
    expect(refused.stderr).toMatch(/\nnext: Mend these lines/);
  });

  it('refuses files whose meaning would be lost', async () => {
    write({ 'tag.yaml': 'kind: plan\nid: !Ref gold\n', 'key.yaml': 'kind: plan\n[a, b]: 1\n' });
    write({ 'loop.yaml': 'kind: plan\nid: &a [*a]\n', 'deep.yaml': `${'['.repeat(9_000)}${']'.repeat(9_000)}` });
    writeFileSync(join(cwd, 'latin.yaml'), Buffer.from('kind: application\nid: c\nname: Caf\xe9\n', 'latin1'));
    const files = ['tag.yaml', 'key.yaml', 'loop.yaml', 'deep.yaml', 'latin.yaml'];
    const refused = await run(['apply', '-f', ...files, '--yes']);
    expect(refused.code).toBe(2);
    for (const line of [
      'tag.yaml:2:5: Unresolved tag: !Ref',
      'key.yaml:2:1: With stringKeys',
      'loop.yaml: is nested too deeply',
      'deep.yaml: is nested too deeply',
      'latin.yaml is not UTF-8',
    ])
      expect(refused.stderr).toContain(line);
    expect(refused.stderr).not.toContain('Warning');
  });

  it('takes a header that is called like a reference for a header, and references of a definition in a file', async () => {
    write({
      'api.yaml': 'kind: api\nname: headers\nversion: v1\ndefinition: ./sep.yaml\n',
      'sep.yaml': `upstream: { targets: [{ url: { env: WEATHER_URL } }] }
routes: [{ method: GET, path: / }]
security: open
plans: []
policies:
  requestHeaders: { set: { env: HOME } }
  responseHeaders: { set: { file: { env: WEATHER_URL } } }
`,
    });
    const applied = await run(['apply', '-f', 'api.yaml', '--set', 'headers', '--yes'], WEATHER);
    expect(applied, applied.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('+ api headers:v1\n') });
    const { stdout } = await run(['export', '--set', 'headers']);
    expect(stdout).toContain('env: HOME\n');
    expect(stdout).toContain(`file: ${WEATHER.WEATHER_URL}\n`);
    expect(await run(['diff', '-f', '-', '--set', 'headers'], {}, stdout)).toMatchObject({ code: 0 });
  });

  it('says in a diff what an apply of it is refused for', async () => {
    const documents = `kind: environment\nid: late\nposition: 90\n---\n${SHOP['shop/apis/weather.yaml']}  late: '*'\n`;
    write({ 'shop/apis/weather.yaml': documents });
    const expected = expect.stringMatching(
      /weather\.yaml:\d+:\d+: \/serve\/late "late" comes after "dev".*apply with a reason/,
    );
    expect(await run(['diff', '-f', 'shop'], WEATHER)).toMatchObject({ code: 1, stderr: expected });
    expect(await run(['apply', '-f', 'shop', '--dry-run'], WEATHER)).toMatchObject({ code: 0, stderr: expected });
    for (const args of [[], ['--yes']])
      expect(await run(['apply', '-f', 'shop', ...args], WEATHER)).toMatchObject({ code: 2, stderr: expected });
  });

  it('says at once of a master that is not there that it is not, and leaves nothing open', async () => {
    const nobody = `http://127.0.0.1:${(await freePorts(1))[0]}`;
    for (const command of [['diff'], ['apply', '--yes']]) {
      const ended = await run([...command, '-f', 'shop'], { ...WEATHER, HELIO_SERVER: nobody });
      expect(ended).toMatchObject({ code: 5, stderr: expect.stringContaining(`${nobody} does not answer`) });
      expect(ended.stderr).toContain('helio doctor');
      expect(ended.stderr).not.toContain('is not known');
    }
  });

  it('does not go to the master with files that are no YAML', async () => {
    write({ 'broken.yaml': 'kind: plan\nid: [\n', 'more/list.yaml': 'kind: plan\nid: { env: NOT_THERE }\n' });
    expect(await run(['apply', '-f', 'broken.yaml', '--yes'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/broken\.yaml:3:1: /),
    });
    expect(await run(['apply', '-f', 'more', '--yes'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('more/list.yaml:2:5: the environment variable NOT_THERE is not set'),
    });
    expect(await run(['apply', '-f', 'nowhere', '--yes'])).toMatchObject({ code: 2 });
    expect(await run(['apply', '--yes'])).toMatchObject({ code: 2, stderr: expect.stringContaining('-f') });
    expect(await run(['apply', '-f', 'shop', '--prune'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--set NAME'),
    });
  });

  it('prunes what its set owns, and refuses what another one does', async () => {
    const plan = 'kind: plan\nid: brief\n';
    expect(await run(['apply', '-f', '-', '--set', 'brief', '--yes'], {}, plan)).toMatchObject({ code: 0 });
    expect(await run(['apply', '-f', '-', '--set', 'other', '--yes'], {}, plan)).toMatchObject({
      code: 6,
      stderr: expect.stringContaining('(standard input):1:1: / the plan "brief" belongs to the set "brief"'),
    });
    const other = 'kind: plan\nid: other\n';
    const gone = await run(['apply', '-f', '-', '--set', 'brief', '--prune', '--yes'], {}, other);
    expect(gone).toMatchObject({ code: 0, stdout: expect.stringContaining('- plan brief\n') });
  });

  it('prunes nothing where it has found nothing to read', async () => {
    write({ 'kept/plan.yaml': 'kind: plan\nid: kept\n', 'empty/readme.txt': '' });
    const prune = (...files: string[]): Promise<Ended> =>
      run(['apply', '-f', ...files, '--set', 'kept', '--prune', '--yes'], {}, '# nothing\n');
    expect(await prune('kept')).toMatchObject({ code: 0 });
    for (const files of [['empty'], ['-'], ['kept', 'empty']])
      expect(await prune(...files)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/(empty|\(standard input\)) has no document in it, and --prune deletes/),
      });
    expect(await run(['plan', 'get', 'kept'])).toMatchObject({ code: 0 });
  });

  it('reads directories behind links, too, but for those that lead into themselves', async () => {
    write({ 'real/plan.yaml': 'kind: plan\nid: linked\n', 'set/other.yaml': 'kind: plan\nid: beside\n' });
    symlinkSync('../real', join(cwd, 'set/sub.yaml'));
    const args = ['apply', '-f', 'set', '--set', 'linked', '--prune', '--yes'];
    expect(await run(args)).toMatchObject({ code: 0, stdout: expect.stringContaining('+ plan linked\n') });
    symlinkSync('..', join(cwd, 'set/loop'));
    symlinkSync('nowhere', join(cwd, 'set/gone'));
    const refused = await run(args);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/set\/loop\/set cannot be read: it is a link to .*\/set, which it is in itself/);
    expect(refused.stderr).toContain('set/gone cannot be read: ENOENT');
    expect(await run(['plan', 'get', 'linked'])).toMatchObject({ code: 0 });
  });

  it('names things as documents do, and says in JSON by what other commands know an application', async () => {
    const desk = 'kind: application\nid: desk\nname: Desk\n';
    const applied = await run(['apply', '-f', '-', '--set', 'desk', '--yes'], {}, desk);
    expect(applied.stdout).toMatch(/^\+ application desk\n/);
    expect(applied.stdout).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-/);
    const renamed = desk.replace('Desk', 'Front desk');
    expect(await run(['apply', '-f', '-', '--set', 'desk', '-o', 'json'], {}, renamed)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Say --yes, or --dry-run.'),
    });
    const told = await run(['apply', '-f', '-', '--set', 'desk', '--yes', '-o', 'json'], {}, renamed);
    expect(told.stderr).toContain('Applied');
    const [{ uuid, ...change }] = JSON.parse(told.stdout) as [{ uuid: string }];
    expect(change).toMatchObject({ action: 'update', kind: 'application', id: 'desk' });
    expect(await run(['application', 'get', uuid])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Front desk'),
    });
  });
});

describe('helio export', () => {
  it('writes a directory that apply has nothing to do for, once', async () => {
    expect(await run(['export', '-o', 'out', '--set', 'default'])).toMatchObject({
      code: 0,
      stdout: '6 documents in out\n',
    });
    expect(
      readdirSync(join(cwd, 'out'), { recursive: true })
        .map(String)
        .toSorted((a, b) => (a < b ? -1 : 1)),
    ).toEqual([
      'apis',
      'apis/weather@v1.yaml',
      'applications.yaml',
      'environments.yaml',
      'plans.yaml',
      'regions.yaml',
      'subscriptions.yaml',
    ]);
    expect(readFileSync(join(cwd, 'out/regions.yaml'), 'utf8')).toBe(
      `# yaml-language-server: $schema=${master.url}/v1/apply/schema.json\nkind: region\nid: lab\nenvironment: dev\n`,
    );
    expect(await run(['diff', '-f', 'out'])).toMatchObject({ code: 0 });
    expect(await run(['export', '-o', 'out'])).toMatchObject({ code: 2, stderr: expect.stringContaining('not empty') });
    const { stdout } = await run(['export', '--set', 'default']);
    expect(await run(['diff', '-f', '-'], {}, stdout)).toMatchObject({ code: 0 });
  });
});
