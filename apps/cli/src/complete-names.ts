import type { Cli } from './cli.js';
import { readContexts } from './contexts/contexts-file.js';
import { visible } from './output/style.js';
import type { Item } from './resources/columns.js';

export interface Candidate {
  word: string;
  about: string;
}

/** Somebody waits with a line half typed: what has not come by then is not offered. */
const WITHIN_MS = 300;
/** of more than that nobody picks one by looking */
const MOST = '200';

const LISTS: Readonly<Record<string, string>> = {
  api: '/v1/apis',
  application: '/v1/applications',
  environment: '/v1/environments',
  plan: '/v1/plans',
  promotion: '/v1/promotions',
  region: '/v1/regions',
  replica: '/v1/replicas',
  subscription: '/v1/subscriptions',
  webhook: '/v1/webhooks',
};

/** What there is of the first of these kinds that can be listed: none where nobody answers in time. */
export async function namesOf(cli: Cli, kinds: readonly string[]): Promise<Candidate[]> {
  if (kinds.includes('context'))
    return Object.keys(readContexts(cli.env.configDir).contexts).map((word) => ({ word, about: '' }));
  const path = kinds.map((kind) => LISTS[kind]).find((one) => one !== undefined);
  if (path === undefined) return [];
  const api = await cli.api();
  const signal = AbortSignal.timeout(WITHIN_MS);
  try {
    const { body } = await api.send({ method: 'GET', path, query: { limit: MOST }, signal });
    return (body as { items: Item[] }).items.map(({ id, name }) => ({
      word: visible(String(id)),
      about: typeof name === 'string' ? visible(name) : '',
    }));
  } catch (error) {
    if (signal.aborted) return [];
    throw error;
  }
}
