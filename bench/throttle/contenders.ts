import { cpSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from '../gateway/ask.js';
import { startNodeHttp, startGatewayReplica } from '../gateway/replica.js';
import type { Server } from '../gateway/server.js';
import { keep, type Setting } from '../gateway/setting.js';
import type { MadeState } from '../gateway/state.js';
import { contextOf, keyText } from '../gateway/world.js';
import { cpuTime } from '../cpu-time.js';
import { type RedisServer, startRedisServer } from './redis.js';

/** One or more gateways that serve one region together. */
export interface Contender {
  name: string;
  nodes: readonly Server[];
  /** where they count; null: each by itself */
  redis: RedisServer | null;
}

/** Milliseconds of all processes of its gateways. */
export const cpuOf = ({ nodes }: Contender): number =>
  nodes.reduce((sum, { pid }) => sum + (cpuTime(pid) ?? Number.NaN), 0);

/** A Redis of its own: who is seen in a region has a share of what it lends. */
export async function ownRedis({ directory, cores, running }: Setting): Promise<RedisServer> {
  const redis = await startRedisServer(mkdtempSync(join(directory, 'redis-')), cores.load);
  running.push(redis);
  return redis;
}

/** Replicas of this product in one region. @param redis null: one that counts by itself */
export async function heliograph(
  setting: Setting,
  name: string,
  state: MadeState,
  size: { nodes: number; workers: number },
  redis: RedisServer | null,
): Promise<Contender> {
  const nodes: Server[] = [];
  for (let i = 0; i < size.nodes; i++) {
    // a state directory has one replica
    const directory = mkdtempSync(join(setting.directory, 'replica-'));
    cpSync(state.directory, directory, { recursive: true });
    const { gateway } = setting.cores;
    nodes.push(
      keep(setting, await startGatewayReplica(name, { ...state, directory }, gateway, size.workers, redis?.url)),
    );
  }
  return { name, nodes, redis };
}

/** As many processes of node:http with `rate-limiter-flexible`. */
export async function flexible(
  setting: Setting,
  name: string,
  state: MadeState,
  processes: number,
  how: { limits: readonly { points: number; duration: number }[]; remember?: boolean },
): Promise<Contender> {
  const redis = await ownRedis(setting);
  const nodes: Server[] = [];
  for (let i = 0; i < processes; i++) {
    const limiter = { redis: redis.url, limits: how.limits, remember: how.remember ?? false };
    nodes.push(keep(setting, await startNodeHttp(state, setting.cores.gateway, { name, flexible: limiter })));
  }
  return { name, nodes, redis };
}

/** @throws Error where one of them does not know good from bad, so that nothing it is measured at would mean anything */
export async function verify({ name, nodes }: Contender, keys: number, limited: boolean | null): Promise<void> {
  for (const { port } of nodes) {
    const call = (path: string, key?: string) => ask(port, path, key === undefined ? {} : { 'x-api-key': key });
    const path = `/${contextOf(0)}/resource-3/7`;
    const known = await call(path, keyText(0));
    const facts: [string, unknown, unknown][] = [
      ['a known key', known.status, 200],
      ['no key', (await call(path)).status, 401],
      ['an unknown key', (await call(path, keyText(keys))).status, 401],
      ['no such route', (await call(`/${contextOf(0)}/nothing/1`, keyText(0))).status, 404],
    ];
    if (limited !== null) facts.push(['RateLimit for the client', 'ratelimit' in known.headers, limited]);
    for (const [what, given, wanted] of facts)
      if (given !== wanted) throw new Error(`${name}: ${what}: ${String(given)}, not ${String(wanted)}`);
  }
}

/** Ends what was started since, the newest first, so that it disturbs nobody who is measured later. */
export async function during<T>(setting: Setting, work: (part: Setting) => Promise<T>): Promise<T> {
  const kept = setting.running.length;
  try {
    return await work(setting);
  } finally {
    for (const server of setting.running.splice(kept).reverse()) await server.stop();
  }
}
