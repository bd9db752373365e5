import { setTimeout as sleep } from 'node:timers/promises';
import { say } from '../options.js';
import { fullLoad } from './full-load.js';
import { p99Of, pacedLoad } from './paced-load.js';
import type { ReplicaServer } from './replica.js';
import { atMost, count, type Row, ratioText } from './report.js';
import { inRounds, middle, ratioOf } from './rounds.js';
import type { Setting } from './setting.js';
import { type MadeState, publishDuring } from './state.js';
import { LOAD_SHARE, STEADY_CONNECTIONS } from './steady-rate.js';

const KEYS_CHANGED = 1000;
const BUDGET = 1.5;
const SERVED_WITHIN_MS = 30_000;
/** Seconds until the first revision serves, and that a measurement takes beside those that it counts. */
const MARGIN_SECONDS = 8;

/**
 * A revision of 1,000 changed keys each second, and the same without. Twice: with every connection busy all the time, where
 * nearly all of a request's time is waiting for the others; and at a steady rate of 80% of that, where a pause is seen.
 *
 * @param rate what the replica serves a second
 */
export async function revisions(
  setting: Setting,
  replica: ReplicaServer,
  state: MadeState,
  rate: number,
): Promise<Row[]> {
  const steady = Math.floor(LOAD_SHARE * rate);
  const full = async (seed: number): Promise<number> =>
    (await fullLoad(setting, replica, { kind: 'proxy', connections: 128, world: setting.world, seed })).p99;
  const paced = async (seed: number): Promise<number> =>
    p99Of(await pacedLoad(setting, replica, { connections: STEADY_CONNECTIONS, rate: steady, seed }));
  return [
    await compare(setting, replica, state, 'under full load, 128 connections', full),
    await compare(setting, replica, state, `at a steady ${count(steady)} requests/s (80%)`, paced),
  ];
}

async function compare(
  setting: Setting,
  replica: ReplicaServer,
  state: MadeState,
  how: string,
  measure: (seed: number) => Promise<number>,
): Promise<Row> {
  const applied: number[] = [];
  const [plain = [], changing = []] = await inRounds([false, true], setting.rounds, async (changes, round) => {
    if (!changes) return measure(round + 1);
    const first = state.chain.position.revision + 1;
    const most = Math.ceil(setting.seconds) + MARGIN_SECONDS;
    const p99 = await publishDuring(state, setting.world, KEYS_CHANGED, most, async () => {
      await served(replica, first);
      const before = await replica.revision();
      const measured = await measure(round + 1);
      applied.push((await replica.revision()) - before);
      return measured;
    });
    await served(replica, state.chain.position.revision);
    return p99;
  });
  const ratio = ratioOf(changing, plain);
  say(
    `\nA revision of ${count(KEYS_CHANGED)} changed keys a second ${how}: p99 ${middle(changing).toFixed(2)} ms, ` +
      `${middle(plain).toFixed(2)} ms without, x ${ratioText(ratio)}; ${middle(applied)} revisions in ${setting.seconds} s`,
  );
  const row = atMost(`a revision with 1,000 changed keys a second ${how}: p99 to that without`, ratio, BUDGET);
  return Math.min(...applied) > 0 ? row : { ...row, measured: 'no revision was applied meanwhile', reached: null };
}

async function served(replica: ReplicaServer, revision: number): Promise<void> {
  for (const began = performance.now(); (await replica.revision()) < revision; await sleep(50))
    if (performance.now() - began > SERVED_WITHIN_MS)
      throw new Error(`the replica was not at revision ${revision} within ${SERVED_WITHIN_MS} ms`);
}
