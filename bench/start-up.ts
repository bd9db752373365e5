import { spawnSync } from 'node:child_process';
import { endedCpuTime } from './cpu-time.js';
import { Rig } from './local-system.js';
import { machineLine, spread } from './machine.js';
import { numbersFrom, say } from './options.js';

const { rounds } = numbersFrom(
  `
npm start, the build apart, with its five replicas: the first time (initdb, migrations, the demo promoted and served in every region)
and the second, when everything is there; and the CPU time of each with its stop, which says the same on a machine that others use as well.
Beside it, what a process of Node takes that does nothing.`,
  { rounds: 2 },
);

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

say(machineLine());
const [first, second, bare]: [number[], number[], number[]] = [[], [], []];
const cpu: { first: number[]; second: number[] } = { first: [], second: [] };

/** From the start to the end of a stop. */
async function startAndStop(rig: Rig, times: number[], cpuTimes: number[]): Promise<void> {
  const before = endedCpuTime();
  times.push((await rig.start()).tookMs);
  await rig.stop();
  const after = endedCpuTime();
  if (before !== null && after !== null) cpuTimes.push(after - before);
}

for (let round = 0; round < rounds; round++) {
  const rig = new Rig();
  try {
    await startAndStop(rig, first, cpu.first);
    await startAndStop(rig, second, cpu.second);
  } finally {
    await rig.remove();
  }
  bare.push(await timed(() => spawnSync(process.execPath, ['-e', ''])));
}
say(`npm start, first (budget 15 s): ${spread(first, 'ms')}`);
say(`  CPU of all processes, the stop included: ${spread(cpu.first, 'ms')}`);
say(`npm start, second (budget 5 s): ${spread(second, 'ms')}`);
say(`  CPU of all processes, the stop included: ${spread(cpu.second, 'ms')}`);
say(`  beside it, node -e '': ${spread(bare, 'ms')}`);
