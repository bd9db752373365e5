import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasNginx, startUpstream } from './gateway/nginx.js';
import { freePort } from './gateway/ports.js';
import { installed, type Server, startServer } from './gateway/server.js';
import { keep, type Setting } from './gateway/setting.js';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';
import { during } from './throttle/contenders.js';
import { cost } from './throttle/cost.js';
import { decisions } from './throttle/decisions.js';
import { latency } from './throttle/latency.js';
import { overload } from './throttle/overload.js';
import { versions } from './throttle/versions.js';

const options = numbersFrom(
  `
What limits cost, how much of a limit is admitted under overload and what beyond it, what Redis is asked, and what a request waits:
one and four workers and two nodes with one Redis, beside node:http with rate-limiter-flexible (Redis for each request) and nginx
limit_req (one node, no quotas), in paired rounds of one run; gateways on one core, load, Redis and upstream on another. About seven
minutes; what takes 0 or 1 is left out with 0. Needs taskset, wrk, nginx and redis-server.`,
  { rounds: 3, seconds: 2, decisions: 1, cost: 1, overload: 1, latency: 1 },
);
const CORES = { gateway: '0', load: '1' };
const RECORDER = fileURLToPath(new URL('./throttle/recorder.js', import.meta.url));

async function run(setting: Setting): Promise<void> {
  if (options.decisions) await decisions(CORES.gateway, setting.rounds);
  if (options.cost) await during(setting, cost);
  if (options.overload)
    await during(setting, async (part) => {
      const port = await freePort();
      const recorder = { name: 'upstream', command: process.execPath, args: [RECORDER, `${port}`] };
      await overload(part, keep(part, await startServer({ ...recorder, cores: CORES.load, port })));
    });
  if (options.latency) await during(setting, latency);
}

const missing = [
  ...(cpus().length < 2 ? ['two cores'] : []),
  ...(installed('taskset', '-V') ? [] : ['taskset (util-linux)']),
  ...(installed('wrk', '-v') ? [] : ['wrk']),
  ...(hasNginx() ? [] : ['nginx']),
  ...(installed('redis-server', '-v') ? [] : ['redis-server']),
];
if (missing.length > 0) {
  say(`This measurement needs ${missing.join(', ')}.`);
  process.exit(1);
}
const directory = mkdtempSync(join(tmpdir(), 'helio-bench-throttle-'));
const running: Server[] = [];
const end = async (): Promise<void> => {
  for (const server of running.splice(0).reverse()) await server.stop();
  rmSync(directory, { recursive: true, force: true });
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end().then(() => process.exit(1)));
try {
  say(`${machineLine()}, ${versions()}`);
  const place = { directory: join(directory, 'upstream'), cores: CORES.load, port: await freePort() };
  const upstream = await startUpstream(place);
  running.push(upstream);
  const { rounds, seconds } = options;
  const world = { keys: 1, apis: 1, applications: 1 }; // each part has one of its own
  await run({ directory, cores: CORES, rounds, seconds, world, upstream, running });
} finally {
  await end();
}
