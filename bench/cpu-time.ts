import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Of Linux's clock ticks in /proc, which are hundredths of a second everywhere that Node runs. */
const TICK_MS = 10;

/**
 * Milliseconds of CPU that a process and its children have used, those too that have ended, or null where there is no /proc. Unlike
 * a rate it says the same on a machine that others use as well.
 */
export function cpuTime(pid: number): number | null {
  if (!existsSync('/proc/self/stat')) return null;
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => stat(Number(name)))
    .filter(({ parent }) => parent === pid);
  const { ticks: own, ended } = stat(pid);
  return (own + ended + children.reduce((sum, { ticks }) => sum + ticks, 0)) * TICK_MS;
}

/** Milliseconds of CPU of all processes below this one that have ended and were waited for, or null where there is no /proc. */
export function endedCpuTime(): number | null {
  if (!existsSync('/proc/self/stat')) return null;
  const text = readFileSync('/proc/self/stat', 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * TICK_MS;
}

/** @returns what has ended meanwhile as using nothing; `ended` is of children */
function stat(pid: number): { parent: number; ticks: number; ended: number } {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return { parent: 0, ticks: 0, ended: 0 };
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' '); // the name may hold spaces and brackets
  const ticksAt = (user: number): number => Number(fields[user]) + Number(fields[user + 1]);
  return { parent: Number(fields[1]), ticks: ticksAt(11), ended: ticksAt(13) };
}

/** `0.31 ms of CPU` for each of `count`, between two readings. */
export function cpuEach(before: number | null, after: number | null, count: number): string {
  return before === null || after === null ? 'unknown' : `${((after - before) / count).toFixed(2)} ms`;
}
