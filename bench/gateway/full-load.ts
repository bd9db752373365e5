import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cpuTime } from '../cpu-time.js';
import { busyShare, readCores } from './cores.js';
import type { Server } from './server.js';
import type { Setting } from './setting.js';
import type { World } from './world.js';

const SCRIPT = fileURLToPath(new URL('../../../bench/gateway/lua/load.lua', import.meta.url));
const run = promisify(execFile);

/** What a gateway did while every connection sent its next request as soon as it had its answer. */
export interface Sample {
  /** a second */
  requests: number;
  /** milliseconds; where a connection waited for long, wrk adds what it would have sent meanwhile */
  p99: number;
  /** microseconds of CPU of all processes of the gateway, for each request */
  cpu: number;
  /** the share that the gateway had of its cores' time, and that others had: of a machine of one's own, nearly nothing */
  had: number;
  others: number;
  /** the share of their time that the load's cores were busy, whoever used them */
  loadCores: number;
}

export interface FullLoad {
  kind: 'proxy' | 'validate';
  connections: number;
  world: World;
  /** chooses keys and paths */
  seed: number;
}

/** @throws Error when a request failed: then the numbers say nothing */
export async function fullLoad(setting: Setting, server: Server, load: FullLoad): Promise<Sample> {
  const { kind, connections, seed } = load;
  const { keys, apis, applications } = load.world;
  const { cores, seconds } = setting;
  const cpuBefore = cpuTime(server.pid);
  const coresBefore = readCores();
  const target = `http://127.0.0.1:${server.port}`;
  const wrk = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '30s', '-s', SCRIPT, target, '--'];
  const chosen = [keys, apis, applications, seed].map(String);
  const { stdout } = await run('taskset', ['-c', cores.load, ...wrk, kind, ...chosen]);
  const coresAfter = readCores();
  const cpuAfter = cpuTime(server.pid);
  const line = /^JSON (.+)$/m.exec(stdout)?.[1];
  if (line === undefined) throw new Error(`wrk said something else: ${stdout}`);
  const said = JSON.parse(line) as Record<'requests' | 'micros' | 'p99' | 'refused' | 'broken', number>;
  const { requests, refused, broken } = said;
  if (requests === 0 || refused > 0 || broken > 0)
    throw new Error(`${server.name}: ${requests} answers, ${refused} refused, ${broken} failed`);
  const gatewayCores = busyShare(coresBefore, coresAfter, cores.gateway);
  const usedMicros = cpuBefore === null || cpuAfter === null ? Number.NaN : (cpuAfter - cpuBefore) * 1000;
  const had = usedMicros / (said.micros * cores.gateway.split(',').length);
  return {
    requests: requests / (said.micros / 1e6),
    p99: said.p99 / 1000,
    cpu: usedMicros / requests,
    had,
    others: Math.max(0, gatewayCores - had),
    loadCores: busyShare(coresBefore, coresAfter, cores.load),
  };
}
