import { say } from '../options.js';
import { type PacedTimes, p99Of, pacedLoad } from './paced-load.js';
import { atMost, count, type Row, sayTable } from './report.js';
import { inRounds, middle, ratioOf } from './rounds.js';
import type { Server } from './server.js';
import type { Setting } from './setting.js';
import type { Contest } from './whole-job.js';

export const LOAD_SHARE = 0.8;
export const STEADY_CONNECTIONS = 128;

/**
 * The 99th percentile at 80% of what this gateway serves, and at 80% of what nginx + Lua does, which both of them can serve:
 * at a rate above its own, nginx + Lua would lose whatever was measured.
 */
export async function steadyRate(
  setting: Setting,
  { replica, lua }: Contest,
  rates: ReadonlyMap<Server, number>,
): Promise<Row[]> {
  const rows: Row[] = [];
  if (!lua) return rows;
  for (const owner of [replica, lua]) {
    const rate = Math.floor(LOAD_SHARE * (rates.get(owner) ?? 0));
    const all = [replica, lua, setting.upstream];
    const samples = await inRounds(all, setting.rounds, (server, round) =>
      pacedLoad(setting, server, { connections: STEADY_CONNECTIONS, rate, seed: round + 1 }),
    );
    say(`\nSteady rate, ${count(rate)} requests/s (80% of ${owner.name}), ${STEADY_CONNECTIONS} connections:`);
    sayTimes(all.map((server, i) => [server === setting.upstream ? 'the load itself' : server.name, samples[i] ?? []]));
    const [ours = [], theirs = []] = samples;
    const what = `p99 at 80% of the rate of ${owner.name}, to nginx + Lua`;
    if (ours.some(({ missing }) => missing > 0))
      rows.push({ what, measured: `${replica.name} did not keep up`, budget: '<= 1', reached: false });
    else if (theirs.some(({ p99 }) => p99 === null || p99 > 1000))
      rows.push({ what, measured: 'nginx + Lua does not keep up with it', budget: '<= 1', reached: true });
    else rows.push(atMost(what, ratioOf(ours.map(p99Of), theirs.map(p99Of)), 1));
  }
  return rows;
}

/** A name and its rounds in each. */
export function sayTimes(all: readonly (readonly [string, readonly PacedTimes[]])[]): void {
  const text = (times: readonly PacedTimes[], field: 'p50' | 'p99' | 'p999'): string => {
    const value = middle(times.map((one) => one[field] ?? Number.POSITIVE_INFINITY));
    return Number.isFinite(value) ? `${value.toFixed(2)} ms` : 'not kept up';
  };
  sayTable([
    ['', 'p50', 'p99', 'p99.9'],
    ...all.map(([name, times]) => [name, text(times, 'p50'), text(times, 'p99'), text(times, 'p999')]),
  ]);
}
