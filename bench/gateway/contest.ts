import { join } from 'node:path';
import { say } from '../options.js';
import { hasHaproxy, startHaproxy } from './haproxy.js';
import { hasNginx, hasNginxLua, startLua, startPlain } from './nginx.js';
import { writeLuaFiles, writeMaps } from './reference-files.js';
import { type ReplicaServer, startNodeHttp } from './replica.js';
import type { Server } from './server.js';
import { keep, place, type Setting } from './setting.js';
import type { MadeState } from './state.js';
import { faultsOfJob, faultsOfProxy } from './verify.js';
import type { Contest } from './whole-job.js';
import type { World } from './world.js';

/** What is wrong with what a server does; empty: nothing. */
type Check = (server: Server, world: World) => Promise<string[]>;

/** All references that are here and are seen to do their job. @throws Error when it is this product that does not do it */
export async function contestOf(setting: Setting, replica: ReplicaServer, state: MadeState): Promise<Contest> {
  const { world, upstream, directory, cores } = setting;
  const ours = await faultsOfJob(replica, world);
  if (ours.length > 0) throw new Error(`${replica.name} does not do the job:\n${ours.join('\n')}`);
  const starting = (name: string, here: boolean, check: Check, start: () => Promise<Server>) =>
    reference(setting, name, here, check, start);
  const plain = await starting('nginx plain', hasNginx(), faultsOfProxy, async () =>
    startPlain(await place(setting, 'plain'), upstream.port),
  );
  const lua = await starting('nginx + Lua', hasNginxLua(), faultsOfJob, async () => {
    await writeLuaFiles(join(directory, 'lua'), world);
    return startLua(await place(setting, 'lua'), upstream.port, world.keys);
  });
  const haproxy = await starting('haproxy', hasHaproxy(), faultsOfJob, async () => {
    await writeMaps(join(directory, 'haproxy'), world);
    return startHaproxy(await place(setting, 'haproxy'), upstream.port, world.keys);
  });
  const nodeHttp = await starting('node:http + undici', true, faultsOfJob, () => startNodeHttp(state, cores.gateway));
  return { replica, plain, lua, others: [haproxy, nodeHttp].filter((server) => server !== null) };
}

/** @returns null, and says why, when it is not here, does not start, or does not do its job */
async function reference(
  setting: Setting,
  name: string,
  here: boolean,
  check: Check,
  start: () => Promise<Server>,
): Promise<Server | null> {
  if (!here) {
    say(`${name} is left out: it is not installed`);
    return null;
  }
  try {
    const server = keep(setting, await start());
    return (await does(server, check, setting.world)) ? server : null;
  } catch (error) {
    say(`${name} is left out: ${(error as Error).message}`);
    return null;
  }
}

/** Whether it does what it is to be measured at; if not, says what it does instead. */
export async function does(server: Server, check: Check, world: World): Promise<boolean> {
  const faults = await check(server, world);
  if (faults.length > 0) say(`${server.name} is left out, because it does not do the job:\n  ${faults.join('\n  ')}`);
  return faults.length === 0;
}
