import { spawnSync } from 'node:child_process';
import { Rig } from './local-system.js';
import { machineLine, spread } from './machine.js';
import { numbersFrom, say } from './options.js';

const { rounds } = numbersFrom(
  `
npm start, the build apart: the first time (initdb, migrations, the demo published and served in both regions) and the second, when
everything is there. Beside it, what a process of Node takes that does nothing.`,
  { rounds: 2 },
);

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

say(machineLine());
const [first, second, bare]: [number[], number[], number[]] = [[], [], []];
for (let round = 0; round < rounds; round++) {
  const rig = new Rig();
  try {
    first.push((await rig.start()).tookMs);
    await rig.stop();
    second.push((await rig.start()).tookMs);
  } finally {
    await rig.remove();
  }
  bare.push(await timed(() => spawnSync(process.execPath, ['-e', ''])));
}
say(`npm start, first (budget 15 s): ${spread(first, 'ms')}`);
say(`npm start, second (budget 5 s): ${spread(second, 'ms')}`);
say(`  beside it, node -e '': ${spread(bare, 'ms')}`);
