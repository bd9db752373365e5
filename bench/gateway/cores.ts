import { readFileSync } from 'node:fs';

/** A reading of /proc/stat: clock ticks since the start of the machine, by core. */
type Reading = ReadonlyMap<number, { busy: number; total: number }>;

export function readCores(): Reading {
  const lines = readFileSync('/proc/stat', 'utf8').matchAll(/^cpu(\d+) +(.+)$/gm);
  return new Map(
    [...lines].map(([, core, text = '']) => {
      const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = text
        .split(' ')
        .map(Number);
      // stolen by the machine below counts as busy: nobody here had it
      const busy = user + nice + system + irq + softirq + steal;
      return [Number(core), { busy, total: busy + idle + iowait }];
    }),
  );
}

/** The share of its time that a core was busy, whoever used it. @param cores as for taskset: `0` or `0,1` */
export function busyShare(before: Reading, after: Reading, cores: string): number {
  let [busy, total] = [0, 0];
  for (const core of cores.split(',').map(Number)) {
    const [from, to] = [before.get(core), after.get(core)];
    if (!from || !to) throw new Error(`this machine has no core ${core}`);
    busy += to.busy - from.busy;
    total += to.total - from.total;
  }
  return total === 0 ? 0 : busy / total;
}
