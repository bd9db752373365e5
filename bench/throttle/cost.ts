import { join } from 'node:path';
import { say } from '../options.js';
import { field, warmUp } from '../gateway/comparing.js';
import { fullLoad, type Sample } from '../gateway/full-load.js';
import { startLimitReq, startPlain } from '../gateway/nginx.js';
import { startNodeHttp } from '../gateway/replica.js';
import { count, ratioText } from '../gateway/report.js';
import { inRounds, middle, ratioOf } from '../gateway/rounds.js';
import { keep, place, type Setting } from '../gateway/setting.js';
import { makeGatewayState, type MadeState } from '../gateway/state.js';
import { type Contender, flexible, heliograph, ownRedis, verify } from './contenders.js';
import { AMPLE, type AmpleName, FLEXIBLE_AMPLE } from './limits.js';
import { sayMarkdown } from './report.js';

const WORLD = { keys: 1000, apis: 10, applications: 100 };
const CONNECTIONS = 32;
const NGINX_RATE = 1_000_000;

interface CostSample extends Sample {
  /** of Redis, for a thousand requests */
  calls: number;
  /** microseconds of Redis' CPU, for each request */
  redisCpu: number;
}

/** Which one it is compared with: itself without limits. */
interface Costed {
  contender: Contender;
  base: Contender | null;
}

/** What a request costs with limits that nobody reaches, every connection busy all the time. */
export async function cost(whole: Setting): Promise<void> {
  const setting = { ...whole, world: WORLD };
  const all = [...(await ours(setting)), ...(await nodeHttp(setting)), ...(await nginx(setting))];
  for (const { contender } of all) for (const node of contender.nodes) await warmUp(setting, node);
  const samples = await inRounds(all, setting.rounds, ({ contender }, round) => measure(setting, contender, round));
  const of = (contender: Contender): CostSample[] => samples[all.findIndex((one) => one.contender === contender)] ?? [];
  const rows = all.map(({ contender, base }) => {
    const own = of(contender);
    const numbers = (name: 'calls' | 'redisCpu'): number => middle(own.map((sample) => sample[name]));
    return [
      contender.name,
      count(middle(field(own, 'requests'))),
      `${middle(field(own, 'cpu')).toFixed(1)} us`,
      base ? ratioText(ratioOf(field(own, 'cpu'), field(of(base), 'cpu'))) : '',
      contender.redis ? numbers('calls').toFixed(1) : '-',
      contender.redis ? `${numbers('redisCpu').toFixed(2)} us` : '-',
    ];
  });
  say(
    `\nWhat counting costs, ${CONNECTIONS} connections, one worker, ${WORLD.applications} applications, no limit reached:`,
  );
  sayMarkdown([
    [
      '',
      'requests/s',
      'CPU of a request',
      'to its own without limits',
      'Redis calls for 1,000',
      "Redis' CPU of a request",
    ],
    ...rows,
  ]);
}

async function measure(setting: Setting, { nodes, redis }: Contender, round: number): Promise<CostSample> {
  const [node] = nodes;
  if (!node) throw new Error('there is nobody to measure');
  const before = await redis?.work();
  const load = { kind: 'proxy' as const, connections: CONNECTIONS, world: setting.world, seed: round + 1 };
  const sample = await fullLoad(setting, node, load);
  const after = await redis?.work();
  const requests = sample.requests * setting.seconds;
  return {
    ...sample,
    calls: (1000 * ((after?.calls ?? 0) - (before?.calls ?? 0))) / requests,
    redisCpu: (1000 * ((after?.cpu ?? 0) - (before?.cpu ?? 0))) / requests,
  };
}

const stateWith = (setting: Setting, plan: AmpleName): Promise<MadeState> =>
  makeGatewayState(join(setting.directory, `cost-${Object.keys(AMPLE).indexOf(plan)}`), WORLD, setting.upstream.port, [
    AMPLE[plan],
  ]);

async function ours(setting: Setting): Promise<Costed[]> {
  const all: Costed[] = [];
  const made: Partial<Record<AmpleName, MadeState>> = {};
  const start = async (plan: AmpleName, alone = false): Promise<void> => {
    const name = `Heliograph, ${plan}${alone ? ', no Redis' : ''}`;
    const state = made[plan] ?? (made[plan] = await stateWith(setting, plan));
    const redis = plan === 'no limits' || alone ? null : await ownRedis(setting);
    const contender = await heliograph(setting, name, state, { nodes: 1, workers: 1 }, redis);
    await verify(contender, WORLD.keys, plan !== 'no limits');
    all.push({ contender, base: all[0]?.contender ?? null });
  };
  for (const plan of Object.keys(AMPLE) as AmpleName[]) await start(plan);
  await start('rate + quota', true);
  return all;
}

async function nodeHttp(setting: Setting): Promise<Costed[]> {
  const state = await makeGatewayState(join(setting.directory, 'cost-node'), WORLD, setting.upstream.port, [
    AMPLE['no limits'],
  ]);
  const name = 'node:http + undici, no limits';
  const plain = keep(setting, await startNodeHttp(state, setting.cores.gateway, { name }));
  const base: Contender = { name, nodes: [plain], redis: null };
  const all: Costed[] = [{ contender: base, base: null }];
  for (const [plan, limits] of Object.entries(FLEXIBLE_AMPLE)) {
    const contender = await flexible(setting, `... with rate-limiter-flexible, ${plan}`, state, 1, { limits });
    await verify(contender, WORLD.keys, null);
    all.push({ contender, base });
  }
  return all;
}

async function nginx(setting: Setting): Promise<Costed[]> {
  const upstream = setting.upstream.port;
  const plain = keep(setting, await startPlain(await place(setting, 'cost-plain'), upstream));
  const limit = { perSecond: NGINX_RATE, burst: NGINX_RATE };
  const limiting = keep(setting, await startLimitReq(await place(setting, 'cost-limit-req'), upstream, limit));
  const base: Contender = { name: plain.name, nodes: [plain], redis: null };
  const contender: Contender = { name: '... with limit_req', nodes: [limiting], redis: null };
  return [
    { contender: base, base: null },
    { contender, base },
  ];
}
