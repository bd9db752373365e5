import { fullLoad, type FullLoad, type Sample } from './full-load.js';
import { atLeast, percent, type Row, ratioText } from './report.js';
import { middle, ratioOf } from './rounds.js';
import type { Server } from './server.js';
import type { Setting } from './setting.js';

export const CONNECTIONS = [32, 128] as const;
const WARM_UP_SECONDS = 2;
/** A core that was busier has nothing left: what it gave is no measure of who asked for more. */
const SATURATED = 0.98;
/** Others that had more of the gateway's core disturb what is measured. */
const DISTURBED = 0.1;

/** What is compiled and cached once is not measured. */
export async function warmUp(setting: Setting, server: Server, kind: FullLoad['kind'] = 'proxy'): Promise<void> {
  const load: FullLoad = { kind, connections: 32, world: setting.world, seed: 7 };
  await fullLoad({ ...setting, seconds: WARM_UP_SECONDS }, server, load);
}

/**
 * Requests a second compared with a reference. Where the load's cores had nothing left for one of them, its rate is the load's
 * and not its own: then it is the CPU of a request that decides.
 *
 * @param budget what the ratio has to reach
 */
export function compared(what: string, ours: readonly Sample[], theirs: readonly Sample[], budget: number): Row {
  const rate = ratioOf(field(ours, 'requests'), field(theirs, 'requests'));
  const cpu = ratioOf(field(theirs, 'cpu'), field(ours, 'cpu'));
  const bound = [ours, theirs].some((samples) => middle(field(samples, 'loadCores')) >= SATURATED);
  const texts = [`${ratioText(rate)} by rate${bound ? ", which was the load's" : ''}`, `${ratioText(cpu)} by CPU`];
  if (bound) texts.reverse();
  const others = Math.max(...[ours, theirs].map((samples) => middle(field(samples, 'others'))));
  if (others > DISTURBED) texts.push(`disturbed: others had ${percent(others)} of the core`);
  return { ...atLeast(what, bound ? cpu : rate, budget), measured: texts.join(', ') };
}

export const USAGE = ['CPU', 'p99', 'had of its core', 'others had', 'load core'] as const;

/** What `USAGE` names; a `!` where others had much of the gateway's core, and where the load's had nothing left. */
export function usage(samples: readonly Sample[]): string[] {
  const [others, loadCores] = [middle(field(samples, 'others')), middle(field(samples, 'loadCores'))];
  return [
    `${middle(field(samples, 'cpu')).toFixed(1)} us`,
    `${middle(field(samples, 'p99')).toFixed(1)} ms`,
    percent(middle(field(samples, 'had'))),
    `${percent(others)}${others > DISTURBED ? '!' : ' '}`,
    `${percent(loadCores)}${loadCores >= SATURATED ? '!' : ' '}`,
  ];
}

export function field(samples: readonly Sample[], name: keyof Sample): number[] {
  return samples.map((sample) => sample[name]);
}
