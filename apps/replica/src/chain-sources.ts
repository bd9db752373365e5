import { type ArtifactReader, HttpReader, openStore, patientReader } from '#artifacts';
import type { ReplicaConfig } from './config/replica-config.js';
import type { Identity } from './identity/identity.js';
import { type RevisionSource, type SourceKind, StoreSource } from './sync/revision-source.js';

export type Joined = NonNullable<Identity['joined']>;

type Config = Pick<ReplicaConfig, 'environment' | 'master' | 'peers' | 's3' | 'storeUrl'>;

/**
 * Where the chain can be fetched, in the order in which it is asked: the store, which is made for it; other replicas; the
 * master, which has other things to do; and copies, which are older than all of these.
 *
 * @param joined what the master answered to the join; null before
 */
export function chainSources(config: Readonly<Config>, joined: Joined | null): RevisionSource[] {
  const { environment, master, peers, s3 } = config;
  const storeUrl = config.storeUrl ?? joined?.store;
  const isCopy = (url: string): boolean => url.startsWith('file:');
  const asMyself = joined && { headers: { authorization: `Bearer ${joined.token}` } };
  const readers = (kind: SourceKind, all: readonly ArtifactReader[]): RevisionSource[] =>
    all.map((reader) => new StoreSource(patientReader(reader), environment, kind));
  return [
    ...readers('store', storeUrl === undefined ? [] : [openStore(storeUrl, { s3 })]),
    ...readers('peer', [
      ...peers.filter((url) => !isCopy(url)).map((url) => new HttpReader(`${url}/chain`)),
      ...(asMyself && master ? master.urls.map((url) => new HttpReader(`${url}/v1/chain`, asMyself)) : []),
      ...peers.filter(isCopy).map((url) => openStore(url)),
    ]),
  ];
}
