import { join } from 'node:path';
import { ask } from '../gateway/ask.js';
import { startLimitReq } from '../gateway/nginx.js';
import { count, percent } from '../gateway/report.js';
import { inRounds, middle } from '../gateway/rounds.js';
import type { Server } from '../gateway/server.js';
import { keep, place, type Setting } from '../gateway/setting.js';
import { makeGatewayState } from '../gateway/state.js';
import { say } from '../options.js';
import { type Admitted, overshoot, TAKEN_PATH } from './admitted.js';
import { type Contender, cpuOf, flexible, heliograph, ownRedis, verify } from './contenders.js';
import { underLoad } from './load.js';
import { sayMarkdown } from './report.js';

const RATE = { perSecond: 500, burst: 500 };
const QUOTA = 2000;
const OFFERED = 2000;
const CLIENTS = 64;
/** Until the burst is used up, several times over. */
const WARM_UP_MS = 1500;
/** One for each measurement, so that nobody meets a bucket that was used. Even ones have the rate, odd ones the quota. */
const WORLD = { keys: 200, apis: 1, applications: 200 };

interface Overloaded {
  /** a second */
  asked: number;
  /** of what the limit allows in that time */
  share: number;
  beyond: number;
  /** of the gateways, microseconds for each request */
  cpu: number;
  calls: number;
  commands: number;
  refusedP50: number;
  refusedP99: number;
}

/** Far more requests than the limit: how much of it is admitted, what is admitted beyond it, and what Redis is asked. */
export async function overload(setting: Setting, upstream: Server): Promise<void> {
  const rate = { rate: { limit: RATE.perSecond, per: 'second', burst: RATE.burst }, quota: null };
  const quota = { rate: null, quota: { limit: QUOTA, per: 'day' } };
  const state = await makeGatewayState(join(setting.directory, 'overload'), WORLD, upstream.port, [rate, quota]);
  const started = async (name: string, nodes: number, workers: number): Promise<Contender> => {
    const contender = await heliograph(setting, name, state, { nodes, workers }, await ownRedis(setting));
    await verify(contender, WORLD.keys, true);
    return contender;
  };
  const ours = [
    await started('Heliograph, 1 worker', 1, 1),
    await started('Heliograph, 4 workers', 1, 4),
    await started('Heliograph, 2 nodes x 4 workers', 2, 4),
  ];
  const each = { limits: [{ points: RATE.perSecond, duration: 1 }] };
  const limiting = keep(setting, await startLimitReq(await place(setting, 'limit-req'), upstream.port, RATE));
  const all = [
    ...ours,
    await flexible(setting, 'rate-limiter-flexible, 1 process', state, 1, each),
    await flexible(setting, '... that remembers who is over', state, 1, { ...each, remember: true }),
    await flexible(setting, '... 2 processes', state, 2, each),
    { name: limiting.name, nodes: [limiting], redis: null },
  ];
  let application = 0;
  const fresh = (kind: 'rate' | 'quota'): number => {
    application += 2;
    return kind === 'rate' ? application : application + 1;
  };
  const samples = await inRounds(all, setting.rounds, (one) => measureRate(setting, one, upstream, fresh('rate')));
  say(
    `\n${OFFERED} requests/s by ${CLIENTS} clients of one application that may have ${RATE.perSecond} a second, burst ${RATE.burst} ` +
      '(medians; beyond the limit: the most of all rounds):',
  );
  sayMarkdown([
    [
      '',
      'answered',
      'admitted of the limit',
      'beyond it, worst window',
      'CPU of a request',
      'Redis calls for 1,000',
      'commands for 1,000',
      'a refusal p50',
      'p99',
    ],
    ...all.map(({ name, redis }, i) => {
      const own = samples[i] ?? [];
      const of = (field: keyof Overloaded): number => middle(own.map((sample) => sample[field]));
      return [
        name,
        `${count(of('asked'))}/s`,
        percent1(of('share')),
        String(Math.max(...own.map(({ beyond }) => beyond))),
        `${of('cpu').toFixed(0)} us`,
        redis ? of('calls').toFixed(1) : '-',
        redis ? of('commands').toFixed(1) : '-',
        `${of('refusedP50').toFixed(2)} ms`,
        `${of('refusedP99').toFixed(2)} ms`,
      ];
    }),
  ]);
  await quotas(setting, ours, upstream, () => fresh('quota'));
}

async function measureRate(
  setting: Setting,
  contender: Contender,
  upstream: Server,
  application: number,
): Promise<Overloaded> {
  await taken(upstream);
  const seconds = setting.seconds + 1;
  const { sent, from, until, before, after } = await loaded(setting, contender, application, WARM_UP_MS, seconds);
  const admitted = await taken(upstream);
  const requests = sent.admitted.count + sent.refused.count;
  const within = admitted.filter(([, arrived]) => arrived >= from && arrived < until).length;
  return {
    asked: requests / seconds,
    share: within / (RATE.perSecond * seconds),
    beyond: overshoot(admitted, RATE),
    cpu: (1000 * (after.cpu - before.cpu)) / requests,
    calls: (1000 * (after.calls - before.calls)) / requests,
    commands: (1000 * (after.commands - before.commands)) / requests,
    refusedP50: sent.refused.p50,
    refusedP99: sent.refused.p99,
  };
}

async function quotas(
  setting: Setting,
  all: readonly Contender[],
  upstream: Server,
  fresh: () => number,
): Promise<void> {
  const rows: string[][] = [];
  const seconds = (2 * QUOTA) / OFFERED;
  for (const contender of all) {
    await taken(upstream);
    await loaded(setting, contender, fresh(), 0, seconds);
    const { length } = await taken(upstream);
    rows.push([contender.name, percent1(length / QUOTA), String(Math.max(0, length - QUOTA))]);
  }
  say(`\nThe same clients, who may have ${QUOTA} a day and ask for twice as many in ${seconds} s:`);
  sayMarkdown([['', 'admitted of the quota', 'beyond it'], ...rows]);
}

async function loaded(setting: Setting, contender: Contender, key: number, warmUpMs: number, seconds: number) {
  const ports = contender.nodes.map(({ port }) => port);
  const plan = {
    ports,
    clients: CLIENTS,
    rate: OFFERED,
    keys: { first: key, count: 1 },
    leavesOut: true,
    cores: setting.cores.load,
    warmUpMs,
    seconds,
  };
  return underLoad(plan, async () => {
    const { calls = 0, commands = 0 } = (await contender.redis?.work()) ?? {};
    return { calls, commands, cpu: cpuOf(contender) };
  });
}

/** What the upstream got since it was asked last. */
async function taken({ port }: Server): Promise<Admitted[]> {
  return JSON.parse((await ask(port, TAKEN_PATH)).body) as Admitted[];
}

const percent1 = (share: number): string => (share > 0.9995 ? percent(share) : `${(share * 100).toFixed(1)}%`);
