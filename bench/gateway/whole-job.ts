import { say } from '../options.js';
import { fullLoad, type Sample } from './full-load.js';
import { compared, CONNECTIONS, USAGE, usage, warmUp } from './comparing.js';
import { count, type Row, ratioText, sayTable } from './report.js';
import { inRounds, middle, ratioOf } from './rounds.js';
import type { Server } from './server.js';
import type { Setting } from './setting.js';

const BUDGETS = { plain: 0.8, lua: 2 };

/** Everybody who takes part; those that are not installed, or do not do the job, are absent. */
export interface Contest {
  replica: Server;
  plain: Server | null;
  lua: Server | null;
  others: readonly Server[];
}

export interface WholeJob {
  rows: Row[];
  /** requests a second that each served: the medians, the lowest of all numbers of connections */
  rates: ReadonlyMap<Server, number>;
}

/** The same requests to all of them, as fast as they answer. */
export async function wholeJob(setting: Setting, contest: Contest): Promise<WholeJob> {
  const { replica, plain, lua, others } = contest;
  const all = [replica, plain, lua, ...others].filter((server) => server !== null);
  const rows: Row[] = [];
  const rates = new Map<Server, number>();
  for (const server of all) await warmUp(setting, server);
  for (const connections of CONNECTIONS) {
    const samples = await inRounds(all, setting.rounds, (server, round) =>
      fullLoad(setting, server, { kind: 'proxy', connections, world: setting.world, seed: round + 1 }),
    );
    const of = (server: Server): Sample[] => samples[all.indexOf(server)] ?? [];
    const numbers = (server: Server): number[] => of(server).map(({ requests }) => requests);
    say(`\nWhole job, ${connections} connections:`);
    sayTable([
      ['', 'requests/s', 'to nginx plain', 'to nginx + Lua', ...USAGE],
      ...all.map((server) => [
        server.name,
        count(middle(numbers(server))),
        ...[plain, lua].map((other) => (other ? ratioText(ratioOf(numbers(server), numbers(other))) : '-')),
        ...usage(of(server)),
      ]),
    ]);
    for (const server of all) rates.set(server, Math.min(rates.get(server) ?? Infinity, middle(numbers(server))));
    const what = `whole job, ${connections} connections, to`;
    if (plain) rows.push(compared(`${what} ${plain.name}`, of(replica), of(plain), BUDGETS.plain));
    if (lua) rows.push(compared(`${what} ${lua.name}`, of(replica), of(lua), BUDGETS.lua));
  }
  return { rows, rates };
}
