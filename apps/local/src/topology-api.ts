import type { MasterApi } from './master-api.js';
import { ENVIRONMENTS, type Region } from './topology.js';

/** The regions, and the environments that they belong to. */
export async function prepareTopology(api: MasterApi, regions: readonly Region[]): Promise<void> {
  for (const { id, position } of ENVIRONMENTS)
    if (regions.some(({ environment }) => environment === id)) await api.ensure('/environments', { id, position });
  await Promise.all(regions.map(({ id, environment }) => api.ensure('/regions', { id, environment })));
}

/** Lets one replica join, within the hour. */
export async function newJoinToken(api: MasterApi, { id: region }: Region): Promise<string> {
  const { token } = await api.write<{ token: string }>('POST', '/join-tokens', {
    region,
    expiresInSeconds: 3600,
    maxUses: 1,
  });
  return token;
}
