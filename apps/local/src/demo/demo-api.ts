import type { Definition } from '#model';
import { BROKEN_PATH } from '../echo-upstream.js';
import type { MasterApi } from '../master-api.js';
import { REGIONS } from '../topology.js';

export const DEMO_API = 'echo:v1';
export const DEMO_PLAN = 'demo';
export const DEMO_PATH = '/echo/v1/hello';
/** Where a key is looked for unless a definition says otherwise. */
export const KEY_HEADER = 'X-API-Key';
/** Of answers: which release has given it, 1 for the first one. */
export const RELEASE_HEADER = 'X-Demo-Release';

/**
 * A release of the demo.
 *
 * @param number what its answers say in `X-Demo-Release`
 * @param isBad whether its upstream fails in `prod`, as what was only tested elsewhere now and then does
 * @returns its digest
 */
export async function newRelease(
  api: MasterApi,
  { upstream, number, isBad }: { upstream: string; number: number; isBad: boolean },
): Promise<string> {
  const [name = '', version = ''] = DEMO_API.split(':');
  const broken = { targets: [{ url: upstream + BROKEN_PATH }] };
  const prod = REGIONS.filter(({ environment }) => environment === 'prod');
  const definition: Definition = {
    name,
    version,
    context: `/${name}/${version}`,
    routes: [{ method: '*', path: '/*', id: 'echo' }],
    upstream: {
      targets: [{ url: upstream }],
      ...(isBad ? { regions: Object.fromEntries(prod.map(({ id }) => [id, broken])) } : {}),
    },
    security: 'key',
    plans: [DEMO_PLAN],
    policies: { responseHeaders: { set: { [RELEASE_HEADER]: `${number}` } } },
  };
  const { digest } = await api.write<{ digest: string }>('POST', `/apis/${DEMO_API}/releases`, { definition });
  return digest;
}

export interface DemoAnswer {
  status: number;
  /** what it says in `X-Demo-Release`; null: nothing */
  release: string | null;
}

/** @throws Error when there is no answer within five seconds */
export async function callDemo(gateway: string, key: string, signal?: AbortSignal): Promise<DemoAnswer> {
  const timeout = AbortSignal.timeout(5_000);
  const response = await fetch(gateway + DEMO_PATH, {
    headers: { [KEY_HEADER]: key },
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  await response.arrayBuffer(); // read to its end, so that the connection can be used again
  return { status: response.status, release: response.headers.get(RELEASE_HEADER) };
}
