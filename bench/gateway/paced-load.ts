import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Server } from './server.js';
import type { Setting } from './setting.js';
import type { World } from './world.js';

const SENDER = fileURLToPath(new URL('./paced-sender.js', import.meta.url));
const run = promisify(execFile);

export interface PacedLoad {
  port: number;
  connections: number;
  /** requests a second */
  rate: number;
  seconds: number;
  /** chooses keys and paths; not 0 */
  seed: number;
  world: World;
}

/** Milliseconds from when a request was due until its answer; null: so many were never answered. */
export interface PacedTimes {
  answered: number;
  /** not answered two seconds after the end */
  missing: number;
  /** answered something else than 200 */
  failed: number;
  p50: number | null;
  p99: number | null;
  p999: number | null;
}

/** @throws Error when requests were refused */
export async function pacedLoad(
  { cores, seconds, world }: Setting,
  { name, port }: Server,
  load: Pick<PacedLoad, 'connections' | 'rate' | 'seed'>,
): Promise<PacedTimes> {
  const whole: PacedLoad = { ...load, port, seconds, world };
  const { stdout } = await run('taskset', ['-c', cores.load, process.execPath, SENDER, JSON.stringify(whole)]);
  const times = JSON.parse(stdout) as PacedTimes;
  if (times.failed > 0) throw new Error(`${name}: ${times.failed} of ${times.answered} answers were not 200`);
  return times;
}

/** A gateway that does not keep up has no 99th percentile: it grows for as long as one looks. */
export const p99Of = ({ p99 }: PacedTimes): number => p99 ?? Number.POSITIVE_INFINITY;
