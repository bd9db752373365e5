import { hash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, helio } from '#harness';
import pg from 'pg';
import { stringify } from 'yaml';
import { cpuTime, endedCpuTime } from './cpu-time.js';
import { type LoneMaster, MasterCalls, startLoneMaster } from './lone-master.js';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';

const { apis, applications, subscriptions, singles } = numbersFrom(
  `
What a catalogue in files takes with helio: apply, apply again, diff, another plan for every subscription, export, prune; wall time,
and CPU of the command, the master and PostgreSQL. In the same run, for comparison: applications and subscriptions by single writes,
8 clients at a time. All of it shares this machine.`,
  { apis: 2_000, applications: 2_000, subscriptions: 6_000, singles: 500 },
);
const ROUTES = 20;
const CLIENTS = 8;
const PLANS = ['gold', 'silver'];

const perApplication = Math.ceil(subscriptions / Math.max(1, applications));

function write(directory: string, plan: string): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, 'apis'), { recursive: true });
  const file = (name: string, documents: object[]): void =>
    writeFileSync(join(directory, name), documents.map((one) => `---\n${stringify(one)}`).join(''));
  file('shared.yaml', [
    { kind: 'environment', id: 'dev', position: 10 },
    { kind: 'region', id: 'lab', environment: 'dev' },
    ...PLANS.map((id) => ({ kind: 'plan', id, rate: { limit: 10, per: 'second' } })),
  ]);
  for (let n = 0; n < apis; n++) file(`apis/api-${n}.yaml`, [api(n)]);
  file(
    'applications.yaml',
    Array.from({ length: applications }, (_, n) => ({ kind: 'application', id: `app-${n}`, name: `Application ${n}` })),
  );
  file(
    'subscriptions.yaml',
    Array.from({ length: subscriptions }, (_, n) => {
      const application = Math.floor(n / perApplication);
      // one application subscribes to APIs next to each other, so none twice
      const of = (application * perApplication + (n % perApplication)) % apis;
      return { kind: 'subscription', application: `app-${application}`, api: `api-${of}:v1`, plan };
    }),
  );
}

function api(n: number): object {
  const routes = Array.from({ length: ROUTES }, (_, r) => ({
    method: r % 2 ? 'GET' : 'POST',
    path: `/resources-${r}/{id}/items`,
  }));
  const upstream = { targets: [{ url: `http://10.0.0.1:${8000 + n}` }] };
  return {
    kind: 'api',
    name: `api-${n}`,
    version: 'v1',
    definition: { routes, upstream, security: 'key', plans: PLANS },
    serve: { dev: '*' },
  };
}

const revisionsOf = async (database: pg.Client): Promise<number> =>
  Number((await database.query<{ n: string }>('SELECT count(*) AS n FROM revision')).rows[0]?.n);

/** Runs helio, and says what that took. @param codes how it may end */
async function step(master: LoneMaster, database: pg.Client, name: string, args: string[], codes = [0]): Promise<void> {
  const read = (): (number | null)[] => [endedCpuTime(), cpuTime(master.pid), cpuTime(master.postgresPid)];
  const [before, revisions] = [read(), await revisionsOf(database)];
  const began = performance.now();
  const env = { HELIO_SERVER: master.url, HELIO_TOKEN: master.adminToken };
  const { code, stdout, stderr } = await helio(args, { env });
  const seconds = (performance.now() - began) / 1000;
  if (!codes.includes(code ?? -1))
    throw new Error(`helio ${args.join(' ')} ended with ${code}: ${stderr.slice(0, 2000)}`);
  const cpu = read().map((now, at) => (((now ?? 0) - (before[at] ?? 0)) / 1000).toFixed(1));
  const made = (await revisionsOf(database)) - revisions;
  const told = /^\d+ to create.*$/m.exec(stdout)?.[0] ?? stdout.trim().split('\n').at(-1);
  say(
    `${name.padEnd(24)} ${seconds.toFixed(1)} s; CPU: helio ${cpu[0]} s, master ${cpu[1]} s, PostgreSQL ${cpu[2]} s; revisions ${made}; ${told}`,
  );
}

/** Milliseconds that one of many single writes takes. */
async function bySingleWrites(calls: MasterCalls): Promise<{ application: number; subscription: number }> {
  const ids: string[] = [];
  const each = async (work: (n: number) => Promise<void>): Promise<number> => {
    let next = 0;
    const began = performance.now();
    const client = async (): Promise<void> => {
      for (let n = next++; n < singles; n = next++) await work(n);
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    return (performance.now() - began) / singles;
  };
  const application = await each(async (n) => {
    const { body } = await calls.call('POST', '/v1/applications', { name: `single ${n}` });
    ids.push(body.id);
  });
  const subscription = await each(async (n) => {
    await calls.call('POST', '/v1/subscriptions', { application: ids[n], api: 'api-0:v1', plan: PLANS[0] });
  });
  return { application, subscription };
}

build();
/** One for each application, by which it and its subscriptions come onto the chain. */
async function giveKeys(): Promise<void> {
  const lines = Array.from(
    { length: applications },
    (_, n) => `{"kind":"key","application":"app-${n}","environment":"dev","sha256":"${hash('sha256', `key ${n}`)}"}\n`,
  );
  const answer = await fetch(`${master.url}/v1/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${master.adminToken}`, 'content-type': 'application/x-ndjson' },
    body: lines.join(''),
  });
  const text = await answer.text();
  if (!answer.ok || !text.includes('"failed":0'))
    throw new Error(`the keys were answered ${answer.status}: ${text.slice(-500)}`);
}

const master = await startLoneMaster();
const directory = mkdtempSync(join(tmpdir(), 'helio-bench-apply-'));
const database = new pg.Client(master.databaseUrl);
try {
  await database.connect();
  say(machineLine());
  say(`${apis} APIs of ${ROUTES} routes, ${applications} applications, ${subscriptions} subscriptions`);
  const [files, out] = [join(directory, 'files'), join(directory, 'out')];
  const run = (name: string, args: string[], codes?: number[]): Promise<void> =>
    step(master, database, name, args, codes);
  const apply = ['apply', '-f', files, '--set', 'bench', '--yes'];
  write(files, 'gold');
  await run('apply', apply);
  await giveKeys();
  await run('apply again', apply);
  await run('diff', ['diff', '-f', files, '--set', 'bench']);
  await run('export', ['export', '-o', out]);
  write(files, 'silver');
  await run('another plan for each', apply);
  const calls = new MasterCalls(master.url, master.adminToken, CLIENTS);
  const { application, subscription } = await bySingleWrites(calls);
  await calls.close();
  say(
    `single writes, ${CLIENTS} at a time: ${application.toFixed(2)} ms an application, ${subscription.toFixed(2)} ms a subscription`,
  );
  await database.query('DELETE FROM subscription WHERE apply_set IS NULL'); // those of single writes: they hold api-0
  const rest = join(directory, 'rest.yaml'); // helio prunes nothing where it has read nothing
  writeFileSync(rest, 'kind: plan\nid: rest\n');
  await run('prune', ['apply', '-f', rest, '--set', 'bench', '--prune', '--yes']);
} finally {
  await database.end();
  await master.stop();
  rmSync(directory, { recursive: true, force: true });
}
