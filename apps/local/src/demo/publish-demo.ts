import type { Definition } from '#model';
import { sleep } from '#platform';
import { type MasterApi, MasterError } from '../master-api.js';
import { DEMO_API, DEMO_PLAN, newRelease } from './demo-api.js';
import { place, placements, promote } from './promote.js';

const SERVES_WITHIN_MS = 10_000;
const LOOK_MS = 50;

/** By environment, where the demo is published. */
export type Demos = Record<string, { key: string; upstream: string }>;

interface PublishOptions {
  upstream: string;
  /** that run, in the order of the pipeline */
  environments: readonly string[];
  /** the same at every attempt of one home: repeating makes nothing twice and gives the same keys */
  nonce: string;
  demos: Demos;
  /** keeps what has been done */
  keep: (demos: Demos) => void;
  say: (text: string) => void;
}

/**
 * Publishes the demo as anybody would: a plan, an API, a release, an application that subscribes, keys; the release is
 * placed in the first environment, and promoted to the others. Does what is missing: nothing, a new environment, or another upstream.
 *
 * @throws MasterError, or Error where a promotion does not end well
 */
export async function publishDemo(
  api: MasterApi,
  { upstream, environments, ...given }: PublishOptions,
): Promise<Demos> {
  let { demos } = given;
  const keep = (environment: string, key: string): void =>
    given.keep((demos = { ...demos, [environment]: { key, upstream } }));
  const isNew = environments.filter((environment) => !demos[environment]);
  const first = isNew.length > 0 ? await offer(api, upstream) : '';
  const keys = await subscribe(api, isNew, given.nonce);
  for (const [at, environment] of environments.entries()) {
    const had = demos[environment];
    const before = environments[at - 1];
    if (had?.upstream === upstream) continue;
    if (had && !(await follow(api, environment, had.upstream, upstream, given.say))) continue;
    if (!had && before === undefined)
      await place(api, environment, [{ region: '*', release: first }], 'the demo begins here');
    else if (!had && before !== undefined) await bring(api, before, environment, `${given.nonce}-to-${environment}`);
    keep(environment, had?.key ?? keys[environment] ?? '');
  }
  return demos;
}

/** A plan, the API, and its first release. @returns the release */
async function offer(api: MasterApi, upstream: string): Promise<string> {
  const [name, version] = DEMO_API.split(':');
  await Promise.all([
    api.ensure('/plans', { id: DEMO_PLAN, rate: { limit: 100, per: 'second', burst: 200 }, quota: null }),
    api.ensure('/apis', { name, version }),
  ]);
  return newRelease(api, { upstream, number: 1, isBad: false });
}

/** @returns a key for each environment */
async function subscribe(api: MasterApi, environments: string[], nonce: string): Promise<Record<string, string>> {
  if (environments.length === 0) return {};
  const once = (step: string) => ({ idempotencyKey: `${nonce}-${step}` });
  const owner = { name: 'demo', owner: 'npm start' };
  const application = await api.write<{ id: string }>('POST', '/applications', owner, once('application'));
  await api.ensure('/subscriptions', { application: application.id, api: DEMO_API, plan: DEMO_PLAN });
  const keys = environments.map(async (environment) => {
    const key = { environment, name: 'demo' };
    const path = `/applications/${application.id}/keys`;
    const { secret } = await api.write<{ secret: string }>('POST', path, key, once(`key-${environment}`));
    return [environment, secret] as const;
  });
  return Object.fromEntries(await Promise.all(keys));
}

/** What serves in the environment before; nobody calls it yet, so that no gate could see anything. */
async function bring(api: MasterApi, before: string, to: string, idempotencyKey: string): Promise<void> {
  const [placed] = await placements(api, before);
  if (!placed)
    throw new Error(`the demo ${DEMO_API} is not placed in ${before} any more; npm start -- --fresh begins anew`);
  const strategy = { waves: [['*']], soak: 0, gates: { minRequests: 0 } };
  const asked = () => promote(api, { release: placed.release, to, strategy }, { idempotencyKey, wait: 30 });
  const { state, because, waitsFor } = await onceItServes(asked);
  if (state !== 'completed')
    throw new Error(
      `the promotion of the demo to ${to} is ${state}: ${because?.detail ?? waitsFor ?? 'nobody knows why'}`,
    );
}

/** Replicas of the environment before may be about to take what was placed there. */
async function onceItServes<T>(ask: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + SERVES_WITHIN_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const isEarly = error instanceof MasterError && error.code === 'not_promotable';
      if (!isEarly || Date.now() > deadline) throw error;
      await sleep(LOOK_MS);
    }
  }
}

/** HELIO_PORT_BASE is another one than before: what serves leads to the upstream where it is now. @returns whether it does */
async function follow(
  api: MasterApi,
  environment: string,
  from: string,
  to: string,
  say: (text: string) => void,
): Promise<boolean> {
  const releases = new Map<string, string>();
  const placed = await placements(api, environment);
  for (const release of new Set(placed.map((one) => one.release))) {
    const { definition } = await api.get<{ definition: Definition }>(`/apis/${DEMO_API}/releases/${release}`);
    const moved = JSON.parse(JSON.stringify(definition).replaceAll(from, to)) as Definition;
    const made = await api.write<{ digest: string }>('POST', `/apis/${DEMO_API}/releases`, { definition: moved });
    releases.set(release, made.digest);
  }
  const items = placed.map(({ region, release }) => ({ region, release: releases.get(release) ?? release }));
  try {
    await place(api, environment, items, 'the ports of npm start have moved');
    return true;
  } catch (error) {
    if (!(error instanceof MasterError) || error.code !== 'promotion_open') throw error;
    say(`the demo in ${environment} still leads to ${from}: it is being promoted; the next start tries again`);
    return false;
  }
}
