import { join } from 'node:path';
import { freePort } from './ports.js';
import type { Server } from './server.js';
import type { World } from './world.js';

/** Where and how long everything of one run is measured. */
export interface Setting {
  /** removed at the end */
  directory: string;
  /** for taskset: of the gateways, and of the load and the upstream */
  cores: { gateway: string; load: string };
  rounds: number;
  /** of one measurement */
  seconds: number;
  world: World;
  upstream: Server;
  /** ends what was started, the newest first, when the run ends */
  running: Server[];
}

/** Keeps a server for as long as the run takes. */
export function keep<T extends Server>(setting: Setting, server: T): T {
  setting.running.push(server);
  return server;
}

/** Where a reference runs, and keeps its files. */
export async function place(
  setting: Setting,
  name: string,
): Promise<{ directory: string; cores: string; port: number }> {
  return { directory: join(setting.directory, name), cores: setting.cores.gateway, port: await freePort() };
}
