import type { Definition } from '#model';
import type { MasterApi } from './master-api.js';
import { REGIONS, type Region } from './ports.js';

export const ENVIRONMENT = 'prod';
const API = 'echo:v1';
const PLAN = 'demo';
export const DEMO_PATH = '/echo/v1/hello';
/** Where a key is looked for unless a definition says otherwise. */
export const KEY_HEADER = 'X-API-Key';

/** The environment and its regions. */
export async function prepareTopology(api: MasterApi): Promise<void> {
  await api.ensure('/environments', { id: ENVIRONMENT, position: 30 });
  for (const id of REGIONS) await api.ensure('/regions', { id, environment: ENVIRONMENT });
}

/** Lets one replica join, within the hour. */
export async function newJoinToken(api: MasterApi, region: Region): Promise<string> {
  const { token } = await api.write<{ token: string }>('POST', '/join-tokens', {
    region,
    expiresInSeconds: 3600,
    maxUses: 1,
  });
  return token;
}

/**
 * Publishes the demo as anybody would: a plan, an API, a release, an application that subscribes, a key, and the
 * release's placements.
 *
 * @param nonce the same at every attempt of one home: repeating makes nothing twice and gives the same key
 * @returns the key
 */
export async function publishDemo(api: MasterApi, upstream: string, nonce: string): Promise<string> {
  const once = (step: string) => ({ idempotencyKey: `${nonce}-${step}` });
  const [name = '', version = ''] = API.split(':');
  await api.ensure('/plans', { id: PLAN, rate: { limit: 100, per: 'second', burst: 200 }, quota: null });
  await api.ensure('/apis', { name, version });
  await placeDemo(api, upstream);
  const owner = { name: 'demo', owner: 'npm start' };
  const application = await api.write<{ id: string }>('POST', '/applications', owner, once('application'));
  await api.ensure('/subscriptions', { application: application.id, api: API, plan: PLAN });
  const keys = `/applications/${application.id}/keys`;
  const { secret } = await api.write<{ secret: string }>(
    'POST',
    keys,
    { environment: ENVIRONMENT, name: 'demo' },
    once('key'),
  );
  return secret;
}

/** A release that leads to `upstream`, in every region; the first, or one after the ports have moved. */
export async function placeDemo(api: MasterApi, upstream: string): Promise<void> {
  const [name = '', version = ''] = API.split(':');
  const definition: Definition = {
    name,
    version,
    context: `/${name}/${version}`,
    routes: [{ method: '*', path: '/*', id: 'echo' }],
    upstream: { targets: [{ url: upstream }] },
    security: 'key',
    plans: [PLAN],
  };
  const { digest } = await api.write<{ digest: string }>('POST', `/apis/${API}/releases`, { definition });
  const items = REGIONS.map((region) => ({ api: API, region, release: digest }));
  await api.write('POST', '/placements', { environment: ENVIRONMENT, items });
}

/** The status that a call of the demo gets, or why it gets none. */
export async function demoAnswer(url: string, key: string): Promise<number | string> {
  try {
    const response = await fetch(url, { headers: { [KEY_HEADER]: key }, signal: AbortSignal.timeout(5_000) });
    await response.body?.cancel();
    return response.status;
  } catch (error) {
    return (error as Error).message;
  }
}
