import type { ArtifactStore, Signer } from '#artifacts';
import type { Logger } from '#platform';
import type { StoreRules } from './store/store-rules.js';
import type { ReplicaSupplies } from './office/replica-supply.js';

/** A query on any connection of a pool. */
export type Query = <T extends object>(sql: string, parameters?: unknown[]) => Promise<T[]>;

export interface PublishingOptions {
  /** for the publishers' own connections: it must lead to PostgreSQL itself, or to a pooler that pools sessions */
  databaseUrl: string;
  /** the connections that requests share */
  query: Query;
  store: ArtifactStore;
  signer: Signer;
  /** what this process calls itself towards other masters */
  instance: string;
  log: Logger;
  /** when it is not `STORE_RULES` */
  storeRules?: StoreRules;
  /** whom to ask for what this database has forgotten, beside the store */
  replicas?: ReplicaSupplies;
}

export const PUBLISHING_OPTIONS = Symbol('PublishingOptions');
