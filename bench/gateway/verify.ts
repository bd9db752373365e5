import { ask, type Asked } from './ask.js';
import type { Server } from './server.js';
import { apiOf, applicationId, BODY_BYTES, contextOf, EDITS, keyText, PLAN, SCARCE, type World } from './world.js';

type Fact = [what: string, given: unknown, wanted: unknown];

/**
 * Whether a gateway does the whole job, seen from both of its sides. To be called once: it uses up the scarce limit.
 *
 * @returns what it does not do, a line each; empty when it may be measured
 */
export async function faultsOfJob({ port, observed }: Server, world: World): Promise<string[]> {
  const path = `/${contextOf(0)}/resource-0/echo?units=metric`;
  const call = (target: string, key?: string): Promise<Asked> =>
    ask(port, target, { [EDITS.requestRemove]: '1', ...(key === undefined ? {} : { 'x-api-key': key }) });
  const status = async (target: string, key?: string): Promise<number> => (await call(target, key)).status;
  const known = keyText(0);
  const before = await observed?.();
  const echo = await call(path, known);
  const plain = await call(`/${contextOf(0)}/resource-3/7`, known);
  const seen = new Map(echo.body.split('\n').map((line) => line.split(': ', 2) as [string, string]));
  const facts: Fact[] = [
    ['a known key', echo.status, 200],
    ['the path upstream', echo.body.split('\n')[0], 'GET /backend/resource-0/echo?units=metric'],
    [`${EDITS.requestSet[0]} upstream`, seen.get(EDITS.requestSet[0]), EDITS.requestSet[1]],
    [`${EDITS.requestRemove} upstream`, seen.get(EDITS.requestRemove) ?? '', ''],
    ['the key upstream', seen.get('x-api-key') ?? '', ''],
    ['X-Forwarded-For upstream', seen.get('x-forwarded-for'), '127.0.0.1'],
    ['a request id upstream', (seen.get('x-request-id') ?? '') === '', false],
    [`${EDITS.responseSet[0]} for the client`, echo.headers[EDITS.responseSet[0]], EDITS.responseSet[1]],
    [`${EDITS.responseRemove} for the client`, echo.headers[EDITS.responseRemove], undefined],
    ['RateLimit for the client', 'ratelimit' in echo.headers, true],
    ['the body', [plain.status, plain.body.length], [200, BODY_BYTES]],
    ['no key', await status(path), 401],
    ['an unknown key', await status(path, keyText(world.keys)), 401],
    ['no such API', await status(`/${contextOf(world.apis)}/resource-0/1`, known), 404],
    ['no such route', await status(`/${contextOf(0)}/nothing/1`, known), 404],
    ...(world.apis > 1
      ? [['another API', await status(`/${contextOf(foreignApi(world))}/resource-0/1`, known), 403] as Fact]
      : []),
  ];
  for (let i = 0; i < SCARCE.limit; i++) facts.push(['within the limit', await status(path, SCARCE.key), 200]);
  facts.push(['over the limit', await status(path, SCARCE.key), 429]);
  if (observed) facts.push(['the histogram has counted', (await observed()) - (before ?? 0) >= 2 + SCARCE.limit, true]);
  return wrong(facts);
}

/** The same of one that only passes on. */
export async function faultsOfProxy({ port }: Server): Promise<string[]> {
  const { status, body } = await ask(port, '/api-0/v1/resource-3/7');
  return wrong([['the answer', [status, body.length], [200, BODY_BYTES]]]);
}

/** Of one that is asked about requests at `/validate`. */
export async function faultsOfValidate({ port }: Server, world: World): Promise<string[]> {
  const verdict = async (key: string, api = 0): Promise<Record<string, unknown>> => {
    const body = JSON.stringify({ method: 'GET', path: `/${contextOf(api)}/resource-3/7?units=metric`, key });
    const answer = await ask(port, '/validate', { 'content-type': 'application/json' }, body);
    return JSON.parse(answer.body) as Record<string, unknown>;
  };
  const good = await verdict(keyText(0));
  const facts: Fact[] = [
    ['a known key', [good['valid'], good['application'], good['plan']], [true, applicationId(0), PLAN]],
    ['the API', [good['api'], good['version']], ['api-0', 'v1']],
    ['an unknown key', (await verdict(keyText(world.keys)))['code'], 'credential_unknown'],
  ];
  if (world.apis > 1)
    facts.push(['another API', (await verdict(keyText(0), foreignApi(world)))['code'], 'not_subscribed']);
  return wrong(facts);
}

/** One that the first key may not call. */
const foreignApi = (world: World): number => (apiOf(world, 0) + 1) % world.apis;

function wrong(facts: Fact[]): string[] {
  return facts
    .map(([what, given, wanted]) => [what, JSON.stringify(given), JSON.stringify(wanted)])
    .filter(([, given, wanted]) => given !== wanted)
    .map(([what, given, wanted]) => `${what}: ${given}, not ${wanted}`);
}
