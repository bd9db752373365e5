import { readdirSync, readFileSync } from 'node:fs';

/** Of /proc/<pid>/smaps_rollup, in KiB. */
const FIELDS = ['Pss', 'Pss_Anon', 'Pss_File', 'Rss'] as const;
type Memory = Record<(typeof FIELDS)[number], number>;

/**
 * What a process and its children hold, a line each and the sum. PSS counts a page that n processes have mapped as 1/n in each, so
 * that the sum is what the machine would get back; the state's own pages are among the files', and the kernel may drop them.
 */
export function memoryTable(pid: number): string {
  const pids = [pid, ...childrenOf(pid)];
  const rows = pids.map((each) => ({ name: each === pid ? 'process 1' : 'worker', ...memoryOf(each) }));
  const sum = Object.fromEntries(FIELDS.map((field) => [field, rows.reduce((total, row) => total + row[field], 0)]));
  return [...rows, { name: 'together', ...(sum as Memory) }]
    .map(({ name, ...row }) => `  ${name}: ${FIELDS.map((field) => `${field} ${mebibytes(row[field])}`).join(', ')}`)
    .join('\n');
}

/** What a process and its children hold together, in MiB: their Pss, as `memoryTable` explains it. */
export function memoryTogether(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, each) => sum + memoryOf(each).Pss, 0) / 1024;
}

function childrenOf(pid: number): number[] {
  const text = readdirSync(`/proc/${pid}/task`).map((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8'),
  );
  return text.join(' ').split(' ').filter(Boolean).map(Number);
}

function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const value = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
  return Object.fromEntries(FIELDS.map((field) => [field, value(field)])) as Memory;
}

function mebibytes(kibibytes: number): string {
  return `${Math.round(kibibytes / 1024)} MiB`;
}
