import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fullLoad } from './gateway/full-load.js';
import { contestOf, does } from './gateway/contest.js';
import { hasNginx, startUpstream } from './gateway/nginx.js';
import { freePort } from './gateway/ports.js';
import { startGatewayReplica } from './gateway/replica.js';
import { count, percent, sayRows } from './gateway/report.js';
import { revisions } from './gateway/revisions.js';
import { installed, type Server } from './gateway/server.js';
import { keep, type Setting } from './gateway/setting.js';
import { sizes } from './gateway/sizes.js';
import { makeGatewayState } from './gateway/state.js';
import { steadyRate } from './gateway/steady-rate.js';
import { twoWorkers } from './gateway/two-workers.js';
import { validate } from './gateway/validate.js';
import { faultsOfValidate } from './gateway/verify.js';
import { wholeJob } from './gateway/whole-job.js';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';

const options = numbersFrom(
  `
The whole job of a gateway (key, limit, route, rewrite, header edits, histogram), 200-byte bodies, in paired rounds beside nginx that only
passes on, nginx + Lua and haproxy doing the same job, and node:http + undici around the same decisions; gateways on one core, load and
upstream on another. About ten minutes; what takes 0 or 1 is left out with 0. Needs taskset, wrk and nginx, for the rest of the references
libnginx-mod-http-lua, lua-cjson and haproxy; leaves out what is not there.`,
  {
    rounds: 5,
    seconds: 3,
    keys: 1_000_000,
    apis: 1000,
    applications: 1000,
    steady: 1,
    validate: 1,
    sizes: 1,
    revisions: 1,
    workers: 1,
  },
);
const CORES = { gateway: '0', load: '1' };

async function run(setting: Setting): Promise<void> {
  const { world } = setting;
  const alone = await fullLoad(setting, setting.upstream, { kind: 'proxy', connections: 128, world, seed: 1 });
  say(
    `The load against the upstream without a gateway: ${count(alone.requests)} requests/s, ${percent(alone.loadCores)} of their core`,
  );
  const state = await makeGatewayState(join(setting.directory, 'replica'), world, setting.upstream.port);
  const replica = keep(setting, await startGatewayReplica('Heliograph', state, CORES.gateway));
  const contest = await contestOf(setting, replica, state);
  const { rows, rates } = await wholeJob(setting, contest);
  const { lua } = contest;
  if (options.steady) rows.push(...(await steadyRate(setting, contest, rates)));
  const { admin } = replica;
  if (
    options.validate &&
    lua &&
    (await does(admin, faultsOfValidate, world)) &&
    (await does(lua, faultsOfValidate, world))
  )
    rows.push(...(await validate(setting, admin, lua)));
  if (options.revisions) rows.push(...(await revisions(setting, replica, state, rates.get(replica) ?? 0)));
  if (options.sizes) rows.push(...(await sizes(setting, replica)));
  if (options.workers) rows.push(...(await twoWorkers(setting, cpus().length)));
  sayRows(rows);
}

const { rounds, seconds, keys, apis, applications } = options;
const missing = [
  ...(cpus().length < 2 ? ['two cores'] : []),
  ...(installed('taskset', '-V') ? [] : ['taskset (util-linux)']),
  ...(installed('wrk', '-v') ? [] : ['wrk']),
  ...(hasNginx() ? [] : ['nginx, which is the upstream']),
];
if (missing.length > 0) {
  say(`This measurement needs ${missing.join(', ')}.`);
  process.exit(1);
}
const directory = mkdtempSync(join(tmpdir(), 'helio-bench-gateway-'));
const running: Server[] = [];
const end = async (): Promise<void> => {
  for (const server of running.splice(0).reverse()) await server.stop();
  rmSync(directory, { recursive: true, force: true });
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end().then(() => process.exit(1)));
try {
  say(machineLine());
  const upstream = await startUpstream({
    directory: join(directory, 'upstream'),
    cores: CORES.load,
    port: await freePort(),
  });
  running.push(upstream);
  const world = { keys, apis, applications: Math.min(applications, keys) };
  await run({ directory, cores: CORES, rounds, seconds, world, upstream, running });
} finally {
  await end();
}
