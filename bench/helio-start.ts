import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endedCpuTime } from './cpu-time.js';
import { type LocalSystem, Rig } from './local-system.js';
import { machineLine, quantile, spread } from './machine.js';
import { numbersFrom, say } from './options.js';

const { rounds } = numbersFrom(
  `
How long a person waits for helio: --help, and status against the local system, each a process of its own, from its start to its end.
Beside them, by turns: a process of Node that does nothing, the request of status alone, and --help of another command line. And the CPU
time of each process, which says the same on a machine that others use as well.`,
  { rounds: 30 },
);

const HELIO = fileURLToPath(new URL('../apps/cli/src/main.js', import.meta.url));
/** helio is made with commander, and so is swc */
const SWC = fileURLToPath(import.meta.resolve('@swc/cli/bin/swc.js'));

say(machineLine());
const rig = new Rig();
try {
  const { system } = await rig.start();
  const config = join(rig.home, 'config');
  mkdirSync(config);
  const env = { PATH: process.env['PATH'], XDG_CONFIG_HOME: config };
  run(env, process.execPath, HELIO, 'login', '--local', '--home', rig.home);

  const looks: [string, () => unknown][] = [
    ["node -e ''", () => run(env, process.execPath, '-e', '')],
    ['helio --help (budget 150 ms)', () => run(env, process.execPath, HELIO, '--help')],
    ['helio plan list', () => run(env, process.execPath, HELIO, 'plan', 'list')],
    ['helio status (budget 400 ms)', () => run(env, process.execPath, HELIO, 'status')],
    ['  its request alone', () => status(system)],
    ['swc --help', () => run(env, process.execPath, SWC, '--help')],
  ];
  const times = looks.map((): number[] => []);
  const cpu = looks.map((): number[] => []);
  for (let round = 0; round < rounds; round++)
    for (const [at, [, look]] of looks.entries()) {
      const [began, before] = [performance.now(), endedCpuTime()];
      await look();
      times[at]?.push(performance.now() - began);
      cpu[at]?.push((endedCpuTime() ?? Number.NaN) - (before ?? Number.NaN));
    }
  for (const [at, [name]] of looks.entries())
    say(`${name.padEnd(30)} ${spread(times[at] ?? [], 'ms')}; CPU ${Math.round(quantile(cpu[at] ?? [], 0.5))} ms`);
} finally {
  await rig.remove();
}

function run(env: Record<string, string | undefined>, command: string, ...args: string[]): void {
  const { status: code, stderr, error } = spawnSync(command, args, { env, encoding: 'utf8' });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${error?.message ?? stderr}`);
}

async function status({ master, adminToken }: LocalSystem): Promise<void> {
  const response = await fetch(`${master}/v1/status`, { headers: { authorization: `Bearer ${adminToken}` } });
  if (!response.ok) throw new Error(`status: ${response.status}`);
  await response.text();
}
