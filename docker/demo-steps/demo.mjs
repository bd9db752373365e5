// The demonstration: a release travels, a region is cut off, a key is revoked meanwhile, and all of them agree again.
import { readFileSync, writeFileSync } from 'node:fs';
import { Caller, call, expect, helio, line, NotSo, quietly, run, tell, title, until } from './stage.mjs';

const PROD = ['eu-west', 'ap-south'];
const FAR = 'ap-south';
/** How old the state of a region may get before `ledger` refuses to answer by it. */
const STALE_SECONDS = 20;
/** What is to be promoted has to have arrived where it is promoted from. */
const SEEN_THERE = ['--wait', '30', '--applied', 'all'];

process.env.HELIO_TOKEN = readFileSync('/secrets/operator/admin-token', 'utf8');
const callers = [];
try {
  await show();
  title('All of it was as it should be.');
} catch (error) {
  if (!(error instanceof NotSo)) throw error;
  process.stdout.write(`\n✗ ${error.message}\n`);
  process.exitCode = 1;
} finally {
  await line(FAR, { cut: false });
  await Promise.all(callers.map((caller) => caller.stop()));
}

async function show() {
  const version = `v${(await quietly('api', 'list', '--name', 'greeter', '--all')).length + 1}`;
  const [greeter, ledger] = [`greeter:${version}`, `ledger:${version}`];
  const [hello, balance] = [`/greeter/${version}/hello`, `/ledger/${version}/balance`];

  title(
    'Four data centres: where the masters are, eu-west and ap-south (prod), staging-eu. Between them 80 ms, each way.',
  );
  await until('six replicas, two in each region, follow a master live', 120, async () => {
    const replicas = await quietly('replica', 'list', '--all');
    const live = replicas.filter(({ state, connected }) => state === 'live' && connected);
    return live.length === 6 || `${live.length} of ${replicas.length}`;
  });

  title('Publish: two APIs, in staging first, and from there to prod.');
  const plans = await quietly('plan', 'list', '--all');
  if (!plans.some(({ id }) => id === 'unlimited')) await helio('plan', 'create', 'unlimited');
  const refuses = { maxStaleness: { seconds: STALE_SECONDS, past: 'refuse' } };
  for (const name of ['greeter', 'ledger']) {
    await helio('api', 'create', name, version);
    const release = await newRelease(name, version, 1, name === 'ledger' ? refuses : {});
    await helio(
      'placement',
      'update',
      'staging',
      `${name}:${version}`,
      '*',
      '--release',
      release,
      '--reason',
      'its first release',
      ...SEEN_THERE,
    );
    await helio('promote', `${name}:${version}`, '--to', 'prod', '--soak', '1', '--gates', 'minRequests=0', '--watch');
  }

  title('Somebody calls them: an application with two keys, one of which will be lost.');
  const app = (await helio('app', 'create', `shop ${version}`, '-o', 'name')).out.trim();
  for (const api of [greeter, ledger]) await helio('sub', 'create', app, api, 'unlimited');
  const kept = await newKey(app, 'of the server');
  const lost = await newKey(app, 'of a laptop');
  for (const region of PROD) {
    const { status, upstream } = await call(region, hello, kept.secret);
    expect(status === 200 && upstream === region, `${region} answers, by its own upstream`, { status, upstream });
  }
  for (const region of PROD) callers.push(new Caller(region, hello, kept.secret));

  title(
    'Promote another release in waves, while both regions are called 20 times a second: eu-west first, ap-south when that did well.',
  );
  const second = await newRelease('greeter', version, 2);
  await helio(
    'placement',
    'update',
    'staging',
    greeter,
    '*',
    '--release',
    second,
    '--reason',
    'to be tested',
    ...SEEN_THERE,
  );
  const [near, far] = callers;
  let apart = false;
  const args = [
    'promote',
    greeter,
    '--to',
    'prod',
    '--waves',
    `eu-west/${FAR}`,
    '--soak',
    '5',
    '--gates',
    'minRequests=20',
    '--watch',
  ];
  tell(`$ helio ${args.join(' ')}`);
  const promoting = run(args, (text) => tell(text));
  const watching = setInterval(() => (apart ||= near.release === '2' && far.release === '1'), 50);
  const { code, notes } = await promoting;
  clearInterval(watching);
  expect(code === 0, 'the promotion is completed', notes);
  expect(apart, 'for a while eu-west answered with release 2, and ap-south with release 1', {
    near: near.release,
    far: far.release,
  });
  await until('both answer with release 2', 10, () => (near.release === '2' && far.release === '2') || 'not yet');

  title(`Cut ${FAR} off: nothing comes through to the masters and their store, and nothing refuses either.`);
  await line(FAR, { cut: true });
  await until(`the masters miss both replicas of ${FAR}`, 90, async () => {
    const silent = (await quietly('replica', 'list', '--region', FAR)).filter(({ connected }) => !connected);
    return silent.length === 2 || `${silent.length} of 2`;
  });

  title('Revoke the key that was lost.');
  const since = performance.now();
  const { revision } = await helio(
    'key',
    'revoke',
    app,
    lost.id,
    '--reason',
    'the laptop was stolen',
    '--yes',
    '--wait',
    '5',
    '--applied',
    'region:eu-west',
  );
  tell(
    `${revision} carries it; eu-west had it ${Math.round(performance.now() - since)} ms after the command was typed`,
  );
  await shows('eu-west', hello, lost.secret, 401, 'credential_revoked');
  await shows(FAR, hello, lost.secret, 200);
  tell(`${FAR} cannot know it, and serves on by what it has: that is the choice that this API made.`);
  await until(
    `ledger chose otherwise: once the state is ${STALE_SECONDS} s old, ${FAR} refuses (503 too_stale)`,
    60,
    async () => {
      const { status, code } = await call(FAR, balance, kept.secret);
      return code === 'too_stale' || `${status} ${code ?? ''}`;
    },
  );
  await shows('eu-west', balance, kept.secret, 200);
  const late = await call(FAR, hello, kept.secret, { 'Heliograph-Min-Revision': revision });
  expect(late.status === 425, `who asks ${FAR} for ${revision} at least is told that it is too early (425)`, late);
  const missing = await run(['convergence', revision]);
  tell(`$ helio convergence ${revision}\n${missing.out}`);
  expect(missing.code === 1, `and the masters say that ${revision} is not everywhere`, missing.out);

  title('Mend the line.');
  await line(FAR, { cut: false });
  const healed = performance.now();
  let refused = 0;
  await until(
    `${FAR} refuses the lost key, at both of its replicas`,
    90,
    async () => {
      const { status } = await call(FAR, hello, lost.secret);
      refused = status === 401 ? refused + 1 : 0;
      return refused >= 10 || `${status}`;
    },
    20,
  );
  await until(`${revision} is everywhere, with the same state root`, 90, async () => {
    const { complete, roots } = await quietly('convergence', revision);
    return complete || { complete, roots };
  });
  tell(
    `all of it ${((performance.now() - healed) / 1000).toFixed(1)} s after the line was mended, and nobody did anything`,
  );
  await shows(FAR, balance, kept.secret, 200);

  title('Who called with the key that was kept has noticed nothing:');
  for (const caller of callers) {
    await caller.stop();
    const answers = Object.values(caller.counts).reduce((sum, each) => sum + each, 0);
    expect(caller.counts[200] === answers, `${caller.region}: ${answers} requests, all of them 200`, {
      ...caller.counts,
      odd: caller.odd,
    });
  }
}

async function newRelease(name, version, number, more = {}) {
  const file = `/tmp/${name}-${number}.json`;
  const definition = {
    name,
    version,
    context: `/${name}/${version}`,
    routes: [{ method: 'GET', path: '/*' }],
    upstream: { targets: [{ url: 'http://upstream:8080' }] }, // each region has one of that name
    security: 'key',
    plans: ['unlimited'],
    policies: { responseHeaders: { set: { 'X-Release': `${number}` } } },
    ...more,
  };
  writeFileSync(file, JSON.stringify(definition));
  return (await helio('release', 'create', `${name}:${version}`, '--definition', file, '-o', 'name')).out.trim();
}

async function newKey(app, name) {
  const { out } = await helio(
    'key',
    'create',
    app,
    '--environment',
    'prod',
    '--name',
    name,
    '--wait',
    '30',
    '-o',
    'json',
  );
  return JSON.parse(out);
}

async function shows(region, path, key, status, code) {
  const seen = await call(region, path, key);
  expect(
    seen.status === status && (!code || seen.code === code),
    `${region} answers ${path} with ${status}${code ? ` ${code}` : ''}`,
    seen,
  );
}
