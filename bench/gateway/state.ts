import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deltaName, openStore, TrustedKeys, verifyRevision } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import type { Op } from '#model';
import { StateStore } from '../../apps/replica/src/state/state-store.js';
import { applicationOp, definitionOf, keyOp, placed } from '../../apps/replica/src/testing/gateway-ops.js';
import { planOp } from '../../apps/replica/src/testing/sample-ops.js';
import {
  apiOf,
  applicationId,
  applicationOf,
  contextOf,
  EDITS,
  keyText,
  LIMIT,
  PLAN,
  ROUTES,
  SCARCE,
  SCARCE_PLAN,
  UPSTREAM_PREFIX,
  type World,
} from './world.js';

const KEYS_EACH = 10_000;
const APIS_EACH = 200;

/** A state on the disk as a replica fills it, and the chain that it follows. */
export interface MadeState {
  directory: string;
  /** `file:///...`, with the chain's head in it */
  store: string;
  chain: ChainMaker;
}

/** The plan of the gateway's comparison: counted, and never reached. */
const AMPLE = { rate: { limit: LIMIT, per: 'hour' }, quota: null };

/**
 * @param directory is made, and gets the state and the store
 * @param upstream port that every API goes to
 * @param plans what consumers are limited to: application i is on plan i modulo their number
 */
export async function makeGatewayState(
  directory: string,
  world: World,
  upstream: number,
  plans: readonly object[] = [AMPLE],
): Promise<MadeState> {
  const [stateDir, storeDir] = [join(directory, 'state'), join(directory, 'store')];
  for (const each of [stateDir, storeDir]) mkdirSync(each, { recursive: true });
  const chain = new ChainMaker();
  const trusted = new TrustedKeys([chain.signer.publicKey]);
  const state = StateStore.open(stateDir, 'prod');
  const apply = (ops: Op[]): Promise<number> =>
    state.apply(verifyRevision(chain.seal(ops).bytes, state.chainPosition, trusted), Date.now());
  const names = plans.map((_, i) => (i === 0 ? PLAN : `${PLAN}-${i}`));
  const planOf = (application: number): string => names[application % names.length] as string;
  await apply([
    ...plans.map((limits, i) => planOp(names[i] as string, limits)),
    planOp(SCARCE_PLAN, { rate: { limit: SCARCE.limit, per: 'hour' }, quota: null }),
  ]);
  await inBatches(world.apis, APIS_EACH, (api) => placed(definition(api, upstream, names)), apply);
  const consumer = (application: number, api: number, plan: string): Op =>
    applicationOp({ [apiId(api)]: plan }, applicationId(application), {
      subscriptions: [subscription(application, api, plan)],
    });
  await apply([
    consumer(SCARCE.application, 0, SCARCE_PLAN),
    keyOp(SCARCE.key, { application: applicationId(SCARCE.application) }),
  ]);
  await inBatches(world.applications, KEYS_EACH, (i) => [consumer(i, apiOf(world, i), planOf(i))], apply);
  await inBatches(world.keys, KEYS_EACH, (i) => [keyOfWorld(world, i)], apply);
  await state.close();
  const made = { directory: stateDir, store: `file://${storeDir}`, chain };
  const store = openStore(made.store);
  await chain.putHead(store);
  await store.close();
  return made;
}

/** Writes a revision of so many changed keys every second, `most` of them, as a master would, while `work` is done. */
export async function publishDuring<T>(
  { chain, store: url }: MadeState,
  world: World,
  keysEach: number,
  most: number,
  work: () => Promise<T>,
): Promise<T> {
  // sealed before: nothing but two small files is written while somebody measures
  const prepared = Array.from({ length: most }, (_, round) => {
    const expiresAt = (4_000_000_000 + chain.position.revision) * 1000; // another value each time
    const first = round * keysEach;
    const keys = Array.from({ length: keysEach }, (__, i) => keyOfWorld(world, (first + i) % world.keys, expiresAt));
    const { bytes, header } = chain.seal(keys);
    return { bytes, head: chain.head(), name: deltaName(header.environment, header.revision) };
  });
  const store = openStore(url);
  const over = new AbortController();
  const publish = async (): Promise<void> => {
    for (const { bytes, head, name } of prepared) {
      await store.create(name, bytes);
      await chain.putHead(store, head);
      // a chain has no gap: when the work is over, the rest of what was sealed follows at once
      if (!over.signal.aborted) await sleep(1000, undefined, { signal: over.signal }).catch(() => undefined);
    }
  };
  const publishing = publish();
  try {
    return await work();
  } finally {
    over.abort();
    await publishing;
    await store.close();
  }
}

async function inBatches(
  count: number,
  each: number,
  opsOf: (index: number) => Op[],
  apply: (ops: Op[]) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < count; from += each)
    await apply(Array.from({ length: Math.min(each, count - from) }, (_, i) => opsOf(from + i)).flat());
}

const keyOfWorld = (world: World, key: number, expiresAt: number | null = null): Op =>
  keyOp(keyText(key), { application: applicationId(applicationOf(world, key)), expiresAt });

const apiId = (api: number) => `api-${api}:v1` as const;

/** Of its own for each: limits are counted by the subscription. */
const subscription = (application: number, api: number, plan: string) => ({
  id: applicationId(application).replace(/^0/, '1'),
  api: apiId(api),
  plan,
});

function definition(api: number, upstream: number, plans: readonly string[]): ReturnType<typeof definitionOf> {
  return definitionOf({
    name: `api-${api}`,
    version: 'v1',
    context: `/${contextOf(api)}`,
    routes: Array.from({ length: ROUTES }, (_, i) => ({ method: 'GET' as const, path: `/resource-${i}/{id}` })),
    upstream: { targets: [{ url: `http://127.0.0.1:${upstream}` }] },
    plans: [...plans, SCARCE_PLAN],
    policies: {
      rewrite: { prefix: '/', with: UPSTREAM_PREFIX },
      requestHeaders: { set: { [EDITS.requestSet[0]]: EDITS.requestSet[1] }, remove: [EDITS.requestRemove] },
      responseHeaders: { set: { [EDITS.responseSet[0]]: EDITS.responseSet[1] }, remove: [EDITS.responseRemove] },
    },
  });
}
