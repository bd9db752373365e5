import { directoryFault } from '#artifacts';
import { ConfigError, type FieldFault } from '#platform';
import type { ReplicaConfig } from './replica-config.js';

/** The same one, after a look at the directories that it names. @throws ConfigError for what can never be one */
export async function withUsableSources(config: Readonly<ReplicaConfig>): Promise<Readonly<ReplicaConfig>> {
  const { peers, storeUrl } = config;
  const named = [
    ...(storeUrl ? [['ARTIFACT_STORE', storeUrl] as const] : []),
    ...peers.map((url) => ['HELIO_PEERS', url] as const),
  ];
  const faults = await Promise.all(
    named.map(async ([field, url]): Promise<FieldFault[]> => {
      const problem = await directoryFault(url, 'read');
      return problem ? [{ field, problem, expected: 'name the directory of a store' }] : [];
    }),
  );
  if (faults.flat().length > 0) throw new ConfigError(faults.flat());
  return config;
}
