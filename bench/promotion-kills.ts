import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '#harness';
import { machineLine, spread } from './machine.js';
import { numbersFrom, say } from './options.js';
import { abort, ask, type Kind, KINDS, type Promotion, rollBack } from './promotion/asked.js';
import { type Judged, judge } from './promotion/judge.js';
import { type Kill, killAll } from './promotion/kills.js';
import { Traffic } from './promotion/traffic.js';
import { upstreamThatAnswers } from './promotion/upstream.js';
import { type Published, PromotionWorld, REGIONS, type Region } from './promotion/world.js';

const { promotions, together } = numbersFrom(
  `
Promotions of which some are good, some answer 500, some are aborted and some are release sets, a few at a time, with callers in three regions.
Under them the master, Redis, PostgreSQL and one of the replicas are each killed by -9 at random moments, in random order, and started again.
Then: did each end as it would have; was each region given each placement once (audit log); which release answered where, and when; and is the
state's root the one from before when the good ones are rolled back, too. Ends with 1 when anything is not so.`,
  { promotions: 100, together: 5 },
);

const ENDED_WITHIN_MS = 120_000;
const ASKED_WITHIN_MS = 1_000;
const KILLS_WITHIN_MS = 5_000;
const ABORTED_WITHIN_MS = 9_000;

interface Outcome extends Judged {
  kind: Kind;
  /** that came while it was open */
  kills: number;
}

let published = 0;

async function publishFor(world: PromotionWorld, kind: Kind): Promise<Published[]> {
  const second = kind === 'answers 500' ? bad.url : good.url;
  const apis: Published[] = [];
  for (let n = 0; n < (kind === 'release set' ? 3 : 1); n++) {
    published += 1;
    const had: readonly Region[] = published % 2 === 0 ? REGIONS : ['eu-west']; // else nothing serves there before
    apis.push(await world.publish(`api-${published}`, { first: good.url, second }, had));
  }
  return apis;
}

async function round(world: PromotionWorld, kinds: readonly Kind[]): Promise<Outcome[]> {
  const sets: Published[][] = [];
  for (const kind of kinds) sets.push(await publishFor(world, kind));
  const traffic = new Traffic(world);
  for (const { api } of sets.flat()) traffic.add(api);
  const root = await settledRoot(world);
  const asked: Promotion[] = [];
  try {
    const asking = kinds.map(async (kind, n) => {
      await sleep(ASKED_WITHIN_MS * Math.random());
      const promotion = await ask(world, kind, sets[n] ?? []);
      asked.push(promotion);
      if (kind !== 'aborted') return;
      await sleep(ABORTED_WITHIN_MS * Math.random());
      await abort(world, promotion);
    });
    const killing = sleep(ASKED_WITHIN_MS).then(() => killAll(world, KILLS_WITHIN_MS));
    const [kills] = await Promise.all([killing, ...asking]);
    const stuck = await waitForEnds(world, asked);
    await sleep(1_000); // callers see what there is after the end
    const outcomes: Outcome[] = [];
    for (const promotion of asked)
      outcomes.push(await outcomeOf(world, traffic, promotion, stuck.has(promotion.id), kills));
    const completed = asked.filter((_, n) => outcomes[n]?.state === 'completed');
    for (const promotion of completed) await rollBack(world, promotion);
    const after = await settledRoot(world);
    if (after !== root) outcomes[0]?.faults.push(`wrong: P4 the root is ${after}, and was ${root}`);
    return outcomes;
  } finally {
    await traffic.stop();
  }
}

async function outcomeOf(
  world: PromotionWorld,
  traffic: Traffic,
  promotion: Promotion,
  stuck: boolean,
  kills: readonly Kill[],
): Promise<Outcome> {
  const judged = await judge(world, traffic, promotion);
  const during = kills.filter(({ at }) => at > judged.began && (stuck || at < judged.ended)).length;
  const faults = stuck ? [`stuck: it is ${judged.state}`] : judged.faults;
  return { ...judged, kind: promotion.kind, kills: during, faults };
}

/** @returns those that have not ended */
async function waitForEnds(world: PromotionWorld, asked: readonly Promotion[]): Promise<Set<string>> {
  const open = async (): Promise<string[]> => {
    const ids = asked.map(({ id }) => id);
    const { rows } = await world.pool.query(
      `SELECT id FROM promotion WHERE id = ANY($1::uuid[]) AND state NOT IN ('completed', 'rolled-back', 'rejected')`,
      [ids],
    );
    return (rows as { id: string }[]).map(({ id }) => id);
  };
  const options = { what: 'the promotions to end', within: ENDED_WITHIN_MS, every: 200 };
  await until(async () => (await open()).length === 0, options).catch((error: unknown) => say(String(error)));
  return new Set(await open());
}

/** That of the chain, once nothing is to be published any more and all replicas serve it. */
async function settledRoot(world: PromotionWorld): Promise<string> {
  const roots = async (): Promise<string | false> => {
    const { rows } = await world.pool.query(
      `SELECT FROM promotion WHERE state NOT IN ('completed', 'rolled-back', 'rejected')`,
    );
    const { body } = await world.master.client.get('/v1/environments/prod/head');
    const of = async (region: Region): Promise<unknown> => {
      const status = (await (await fetch(`${world.replicas[region].admin}/status`)).json()) as { root: string };
      return status.root;
    };
    const all = await Promise.all(REGIONS.map(of));
    return rows.length === 0 && all.every((root) => root === body.root) && body.root;
  };
  let last = '';
  // twice the same: what was written last has been published
  const same = async (): Promise<string | false> => {
    const root = await roots();
    const settled = root !== false && root === last;
    last = root === false ? '' : root;
    return settled && last;
  };
  return until(same, { what: 'all replicas to serve the head', within: ENDED_WITHIN_MS, every: 500 });
}

function table(outcomes: readonly Outcome[]): void {
  const count = (all: readonly Outcome[], word: string): number =>
    all.filter(({ faults }) => faults.some((fault) => fault.startsWith(word))).length;
  say(`${'promotion'.padEnd(22)}  asked  as it would have  stuck  doubled  wrong`);
  for (const kind of [...KINDS, null]) {
    const all = outcomes.filter((one) => kind === null || one.kind === kind);
    const right = all.filter(({ faults }) => faults.length === 0).length;
    const cells = [all.length, right, count(all, 'stuck'), count(all, 'doubled'), count(all, 'wrong')];
    const widths = [5, 16, 5, 7, 5];
    say(`${(kind ?? 'together').padEnd(22)}  ${cells.map((cell, n) => `${cell}`.padStart(widths[n] ?? 0)).join('  ')}`);
  }
}

say(machineLine());
const began = performance.now();
const [good, bad] = [await upstreamThatAnswers(200), await upstreamThatAnswers(500)];
const world = await PromotionWorld.start('BullMQ');
try {
  const outcomes: Outcome[] = [];
  while (outcomes.length < promotions) {
    const count = Math.min(together, promotions - outcomes.length);
    const kinds = Array.from({ length: count }, (_, n) => KINDS[(outcomes.length + n) % KINDS.length] ?? 'good');
    const ended = await round(world, kinds);
    outcomes.push(...ended);
    const faults = ended.flatMap((one) => one.faults.map((fault) => `  ${one.kind}: ${fault}`));
    say(`${outcomes.length} of ${promotions} after ${((performance.now() - began) / 1000).toFixed(0)} s`);
    for (const fault of faults) say(fault);
  }
  table(outcomes);
  const all = outcomes.filter(({ kills }) => kills === 4).length;
  say(
    `${all} of them were open at all four kills, the others at ${Math.min(...outcomes.map(({ kills }) => kills))} or more`,
  );
  say(
    `from asked to ended: ${spread(
      outcomes.map((one) => one.ended - one.began),
      'ms',
    )}`,
  );
  say(
    `load of the machine in the last minute: ${(loadavg()[0] ?? 0).toFixed(1)}; what every process wrote: ${world.log}`,
  );
  process.exitCode = outcomes.every(({ faults }) => faults.length === 0) ? 0 : 1;
} finally {
  await world.stop();
  good.close();
  bad.close();
}
