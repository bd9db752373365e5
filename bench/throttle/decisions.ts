import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { middle } from '../gateway/rounds.js';
import { say } from '../options.js';
import { sayMarkdown } from './report.js';

const DECIDER = fileURLToPath(new URL('./decider.js', import.meta.url));
const run = promisify(execFile);

/** What each decision took, nanoseconds of CPU, by plan; one number of each round. */
export type Decisions = Record<string, number[]>;

/** `decide()` by itself, in a process of its own: no sockets, one application whose leases are filled in between. */
export async function decisions(cores: string, rounds: number): Promise<void> {
  const { stdout } = await run('taskset', ['-c', cores, process.execPath, DECIDER, String(rounds)]);
  const all = Object.entries(JSON.parse(stdout) as Decisions);
  const [, base = []] = all[0] ?? [];
  say('\nA decision by itself, one application, what it was lent used up again and again (medians):');
  sayMarkdown([
    ['', 'CPU of a decision', 'more than without limits'],
    ...all.map(([plan, nanos]) => [
      plan,
      `${middle(nanos).toFixed(0)} ns`,
      nanos === base ? '' : `${middle(nanos.map((value, round) => value - (base[round] ?? Number.NaN))).toFixed(0)} ns`,
    ]),
  ]);
}
