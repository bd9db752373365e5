import { join } from 'node:path';
import { say } from '../options.js';
import { field, warmUp } from './comparing.js';
import { fullLoad } from './full-load.js';
import { startUpstream } from './nginx.js';
import { freePort } from './ports.js';
import { startGatewayReplica } from './replica.js';
import { atLeast, count, type Row, ratioText } from './report.js';
import { inRounds, middle, type Ratio, ratioOf } from './rounds.js';
import type { Server } from './server.js';
import { keep, type Setting } from './setting.js';
import { makeGatewayState } from './state.js';

const BUDGET = 1.8;
const CONNECTIONS = 128;

/**
 * Two workers on two cores, and one on one of them. The load has cores of its own where there are four. Where there are two, it
 * takes what it needs of the second one, and the CPU of a request is what is compared: two cores serve twice as many requests
 * as one, less what each request costs more when two workers share the machine.
 *
 * @param cores how many the machine has
 */
export async function twoWorkers(setting: Setting, cores: number): Promise<Row[]> {
  const apart = cores >= 4;
  const both = '0,1';
  const world = { ...setting.world, keys: Math.min(100_000, setting.world.keys) };
  const load = apart ? '2,3' : setting.cores.load;
  const upstream = apart ? await upstreamOn(load) : setting.upstream;
  const [one, two] = await Promise.all([start(1, '0'), start(2, both)]);
  const places = [
    { server: one, gateway: '0' },
    { server: two, gateway: both },
  ];
  const at = (gateway: string): Setting => ({ ...setting, world, cores: { gateway, load } });
  for (const { server, gateway } of places) await warmUp(at(gateway), server);
  const samples = await inRounds(places, setting.rounds, ({ server, gateway }, round) =>
    fullLoad(at(gateway), server, { kind: 'proxy', connections: CONNECTIONS, world, seed: round + 1 }),
  );
  const [single = [], double = []] = samples.map((rounds) => field(rounds, 'requests'));
  const [cpuSingle = [], cpuDouble = []] = samples.map((rounds) => field(rounds, 'cpu'));
  const accounted = twice(ratioOf(cpuSingle, cpuDouble));
  const ratio = apart ? ratioOf(double, single) : accounted;
  say(
    `\nTwo workers on two cores: ${count(middle(double))} requests/s, one ${count(middle(single))}; CPU of a request ` +
      `${middle(cpuDouble).toFixed(1)} and ${middle(cpuSingle).toFixed(1)} us, which is x ${ratioText(accounted)} of one worker`,
  );
  return [atLeast(`two workers on two cores, to one${apart ? '' : ', by CPU of a request'}`, ratio, BUDGET)];

  async function upstreamOn(cores: string): Promise<Server> {
    const port = await freePort();
    return keep(setting, await startUpstream({ directory: join(setting.directory, 'upstream-apart'), cores, port }));
  }

  async function start(workers: number, gateway: string) {
    const state = await makeGatewayState(join(setting.directory, `workers-${workers}`), world, upstream.port);
    return keep(setting, await startGatewayReplica(`${workers} workers`, state, gateway, workers));
  }
}

function twice({ median, least, most }: Ratio): Ratio {
  return { median: 2 * median, least: 2 * least, most: 2 * most };
}
