import { join } from 'node:path';
import { say } from '../options.js';
import { compared, field, warmUp } from './comparing.js';
import { fullLoad } from './full-load.js';
import { startGatewayReplica } from './replica.js';
import { count, type Row } from './report.js';
import { inRounds, middle } from './rounds.js';
import type { Server } from './server.js';
import { keep, type Setting } from './setting.js';
import { makeGatewayState } from './state.js';
import type { World } from './world.js';

const FEW_KEYS = 1000;
/** 5% slower. */
const BUDGET = 0.95;
const CONNECTIONS = 32;

interface Sized {
  server: Server;
  world: World;
}

/** What ever more APIs, and ever more keys, cost each request: replicas side by side that differ in nothing else. */
export async function sizes(setting: Setting, replica: Server): Promise<Row[]> {
  const { world, upstream } = setting;
  const start = async (apis: number): Promise<Sized> => {
    const few = { ...world, keys: FEW_KEYS, apis, applications: Math.min(FEW_KEYS, world.applications) };
    const name = `${count(apis)} APIs, ${count(few.keys)} keys`;
    const state = await makeGatewayState(join(setting.directory, `apis-${apis}`), few, upstream.port);
    return { server: keep(setting, await startGatewayReplica(name, state, setting.cores.gateway)), world: few };
  };
  const [tenApis, manyApis, fewKeys] = [await start(10), await start(10_000), await start(world.apis)];
  const manyKeys = { server: replica, world };
  return [
    await compare(setting, '10,000 APIs instead of 10', manyApis, tenApis),
    await compare(setting, `${count(world.keys)} keys instead of ${count(FEW_KEYS)}`, manyKeys, fewKeys),
  ];
}

async function compare(setting: Setting, what: string, large: Sized, small: Sized): Promise<Row> {
  for (const { server, world } of [large, small]) await warmUp({ ...setting, world }, server);
  const samples = await inRounds([large, small], setting.rounds, ({ server, world }, round) =>
    fullLoad(setting, server, { kind: 'proxy', connections: CONNECTIONS, world, seed: round + 1 }),
  );
  const [many = [], few = []] = samples;
  const [rates, cpus] = (['requests', 'cpu'] as const).map((name) =>
    [many, few].map((rounds) => middle(field(rounds, name))),
  );
  say(`\n${what}: ${rates?.map(count).join(' and ')} requests/s, CPU of a request ${cpus?.map(micros).join(' and ')}`);
  return compared(what, many, few, BUDGET);
}

const micros = (value: number): string => `${value.toFixed(1)} us`;
