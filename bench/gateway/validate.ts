import { say } from '../options.js';
import { compared, CONNECTIONS, field, USAGE, usage, warmUp } from './comparing.js';
import { fullLoad } from './full-load.js';
import { count, type Row, sayTable } from './report.js';
import { inRounds, middle } from './rounds.js';
import type { Server } from './server.js';
import type { Setting } from './setting.js';

const BUDGET = 1.4;

/** Single questions to `POST /validate`, beside the same answer made by nginx + Lua. */
export async function validate(setting: Setting, admin: Server, lua: Server): Promise<Row[]> {
  const { world } = setting;
  const rows: Row[] = [];
  const all = [admin, lua];
  for (const server of all) await warmUp(setting, server, 'validate');
  for (const connections of CONNECTIONS) {
    const samples = await inRounds(all, setting.rounds, (server, round) =>
      fullLoad(setting, server, { kind: 'validate', connections, world, seed: round + 1 }),
    );
    const [ours = [], theirs = []] = samples;
    say(`\n/validate, ${connections} connections:`);
    sayTable([
      ['', 'answers/s', ...USAGE],
      ...all.map(({ name }, i) => {
        const rounds = samples[i] ?? [];
        return [name, count(middle(field(rounds, 'requests'))), ...usage(rounds)];
      }),
    ]);
    rows.push(compared(`/validate, ${connections} connections, to nginx + Lua`, ours, theirs, BUDGET));
  }
  return rows;
}
