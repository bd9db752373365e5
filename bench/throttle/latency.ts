import { join } from 'node:path';
import { startLimitReq, startPlain } from '../gateway/nginx.js';
import { startNodeHttp } from '../gateway/replica.js';
import { inRounds, middle } from '../gateway/rounds.js';
import { keep, place, type Setting } from '../gateway/setting.js';
import { makeGatewayState, type MadeState } from '../gateway/state.js';
import { say } from '../options.js';
import { type Contender, flexible, heliograph, ownRedis, verify } from './contenders.js';
import { AMPLE, type AmpleName, FLEXIBLE_AMPLE } from './limits.js';
import { type Times, underLoad } from './load.js';
import { sayMarkdown } from './report.js';

const RATE = 1000;
const CLIENTS = 64;
const WARM_UP_MS = 500;
/** Called in turns: each a hundred times a second, or once in twenty seconds, when nothing of it is held any more. */
const SHAPES = { 'ten applications': 10, 'another one each time': 20_000 };
const WORLD = { keys: 20_000, apis: 1, applications: 20_000 };
const NGINX_RATE = 1_000_000;

/** With limits that nobody reaches, and the same without. */
interface Pair {
  without: Contender;
  limited: Contender;
}

/** What limits add to the time of a request at a rate that nobody minds. */
export async function latency(setting: Setting): Promise<void> {
  const pairs = [await ours(setting), await nodeHttp(setting), await nginx(setting)];
  const all = pairs.flatMap(({ without, limited }) =>
    Object.keys(SHAPES).flatMap((shape) => [
      { contender: without, shape },
      { contender: limited, shape },
    ]),
  );
  const samples = await inRounds(all, setting.rounds, ({ contender, shape }) =>
    measure(setting, contender, SHAPES[shape as keyof typeof SHAPES]),
  );
  const of = (contender: Contender, shape: string): Times[] =>
    samples[all.findIndex((one) => one.contender === contender && one.shape === shape)] ?? [];
  say(
    `\nThe time of a request at ${RATE} requests/s by ${CLIENTS} clients, with a rate and a quota that nobody reaches:`,
  );
  sayMarkdown([
    ['', 'applications', 'p50 without', 'p50', 'added', 'p99 without', 'p99', 'added'],
    ...pairs.flatMap(({ without, limited }) =>
      Object.keys(SHAPES).map((shape) => [
        limited.name,
        shape,
        ...(['p50', 'p99'] as const).flatMap((name) => {
          const base = of(without, shape).map((times) => times[name]);
          const own = of(limited, shape).map((times) => times[name]);
          const added = middle(own.map((value, round) => value - (base[round] ?? Number.NaN)));
          return [ms(middle(base)), ms(middle(own)), ms(added)];
        }),
      ]),
    ),
  ]);
}

async function measure(setting: Setting, { name, nodes }: Contender, applications: number): Promise<Times> {
  const ports = nodes.map(({ port }) => port);
  const keys = { first: 0, count: applications };
  const { cores, seconds } = setting;
  const times = { warmUpMs: WARM_UP_MS, seconds };
  const plan = { ports, clients: CLIENTS, rate: RATE, keys, leavesOut: false, cores: cores.load, ...times };
  const { sent } = await underLoad(plan, () => Promise.resolve(null));
  if (sent.refused.count > 0) throw new Error(`${name} refused ${sent.refused.count} requests within their limits`);
  return sent.admitted;
}

const stateWith = (setting: Setting, plan: AmpleName): Promise<MadeState> =>
  makeGatewayState(join(setting.directory, `latency ${plan}`), WORLD, setting.upstream.port, [AMPLE[plan]]);

async function ours(setting: Setting): Promise<Pair> {
  const start = async (plan: 'no limits' | 'rate + quota'): Promise<Contender> => {
    const redis = plan === 'no limits' ? null : await ownRedis(setting);
    const size = { nodes: 1, workers: 1 };
    const contender = await heliograph(setting, 'Heliograph', await stateWith(setting, plan), size, redis);
    await verify(contender, WORLD.keys, plan !== 'no limits');
    return contender;
  };
  return { without: await start('no limits'), limited: await start('rate + quota') };
}

async function nodeHttp(setting: Setting): Promise<Pair> {
  const state = await makeGatewayState(join(setting.directory, 'latency-node'), WORLD, setting.upstream.port, [
    AMPLE['no limits'],
  ]);
  const plain = keep(setting, await startNodeHttp(state, setting.cores.gateway));
  const limits = FLEXIBLE_AMPLE['rate + quota'];
  return {
    without: { name: plain.name, nodes: [plain], redis: null },
    limited: await flexible(setting, 'rate-limiter-flexible', state, 1, { limits }),
  };
}

async function nginx(setting: Setting): Promise<Pair> {
  const upstream = setting.upstream.port;
  const plain = keep(setting, await startPlain(await place(setting, 'latency-plain'), upstream));
  const limit = { perSecond: NGINX_RATE, burst: NGINX_RATE };
  const limiting = keep(setting, await startLimitReq(await place(setting, 'latency-limit-req'), upstream, limit));
  return {
    without: { name: plain.name, nodes: [plain], redis: null },
    limited: { name: 'nginx limit_req (no quota)', nodes: [limiting], redis: null },
  };
}

const ms = (value: number): string => `${value.toFixed(2)} ms`;
