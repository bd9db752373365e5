import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { field, warmUp } from './gateway/comparing.js';
import { fullLoad } from './gateway/full-load.js';
import { hasNginx, startUpstream } from './gateway/nginx.js';
import { freePort } from './gateway/ports.js';
import { startGatewayReplica } from './gateway/replica.js';
import { ratioText } from './gateway/report.js';
import { inRounds, middle, ratioOf } from './gateway/rounds.js';
import { installed, type Server } from './gateway/server.js';
import type { Setting } from './gateway/setting.js';
import { makeGatewayState } from './gateway/state.js';
import { machineLine } from './machine.js';
import { numbersFrom, say } from './options.js';

const options = numbersFrom(
  `
What it costs a gateway to count each release's answers for the gates of promotions: this build, and the same one in which that one function
returns at once, in paired rounds, one worker, its process 1 on the same core. What is sent to a master is not in it: some kilobytes
every five seconds. About two minutes. Needs taskset, wrk and nginx.`,
  { rounds: 10, seconds: 3, keys: 100_000, apis: 1000 },
);
const CORES = { gateway: '0', load: '1' };
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TALLY = 'apps/replica/src/bundle.release-tally.js';
const COUNT = /count\(api, status, refused, ms\) \{/g;

/** A copy of this build that counts nothing. @returns the file that starts its replica */
function withoutTally(directory: string): string {
  cpSync(join(ROOT, 'dist'), join(directory, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(directory, 'package.json'));
  const file = join(directory, 'dist', TALLY);
  const text = readFileSync(file, 'utf8');
  if (text.match(COUNT)?.length !== 1) throw new Error(`${TALLY} is not as this measurement knows it`);
  writeFileSync(file, text.replace(COUNT, '$& return;'));
  return join(directory, 'dist/apps/replica/src/main.js');
}

async function run(setting: Setting, copy: string): Promise<void> {
  const start = async (name: string, main?: string): Promise<Server> => {
    const state = await makeGatewayState(join(setting.directory, name), setting.world, setting.upstream.port);
    const server = await startGatewayReplica(name, state, CORES.gateway, 1, undefined, main);
    setting.running.push(server);
    return server;
  };
  const both = [await start('counting'), await start('not-counting', withoutTally(copy))];
  for (const server of both) await warmUp(setting, server);
  const samples = await inRounds(both, setting.rounds, (server, round) =>
    fullLoad(setting, server, { kind: 'proxy', connections: 32, world: setting.world, seed: round + 1 }),
  );
  const [counting = [], bare = []] = samples;
  for (const [what, name, unit] of [
    ['CPU of a request', 'cpu', 'us'],
    ['requests a second', 'requests', ''],
  ] as const) {
    const [ours, theirs] = [field(counting, name), field(bare, name)];
    const text = `${middle(ours).toFixed(1)} ${unit} with counting, ${middle(theirs).toFixed(1)} ${unit} without`;
    say(`${what}: ${text}; paired ratio ${ratioText(ratioOf(ours, theirs))} in ${setting.rounds} rounds`);
  }
  say(`others had ${(100 * middle(field([...counting, ...bare], 'others'))).toFixed(0)}% of the gateway's core`);
}

if (cpus().length < 2 || !installed('taskset', '-V') || !installed('wrk', '-v') || !hasNginx()) {
  say('This measurement needs two cores, taskset (util-linux), wrk and nginx.');
  process.exit(1);
}
const directory = mkdtempSync(join(tmpdir(), 'helio-bench-reporting-'));
// beside the packages that it loads
const cache = join(ROOT, 'node_modules/.cache');
mkdirSync(cache, { recursive: true });
const copy = mkdtempSync(join(cache, 'gate-reporting-'));
const running: Server[] = [];
try {
  say(machineLine());
  const place = { directory: join(directory, 'upstream'), cores: CORES.load, port: await freePort() };
  const upstream = await startUpstream(place);
  running.push(upstream);
  const { rounds, seconds, keys, apis } = options;
  const world = { keys, apis, applications: Math.min(1000, keys) };
  await run({ directory, cores: CORES, rounds, seconds, world, upstream, running }, copy);
} finally {
  for (const server of running.reverse()) await server.stop();
  for (const made of [directory, copy]) rmSync(made, { recursive: true, force: true });
}
