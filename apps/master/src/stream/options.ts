import type { Signer } from '#artifacts';
import type { ReleaseNumbersReport, ReplicaStatus, STREAM_LIMITS, TailLines, UsageAnswer, UsageReport } from '#model';
import type { Logger } from '#platform';
import type { Query } from '../publishing/options.js';
import type { ConnectedReplica } from '../fleet/connected-replica.js';

export type StreamLimits = { readonly [Name in keyof typeof STREAM_LIMITS]: number };

/** Told of what replicas say; the fleet's read model is made of it. */
export interface FleetListener {
  connected(replica: ConnectedReplica): void;
  disconnected(replica: ConnectedReplica): void;
  acknowledged(replica: ConnectedReplica, revision: number, lagMs: number | null): void;
  reported(replica: ConnectedReplica, status: ReplicaStatus): void;
}

/** Told of what replicas have counted. */
export interface UsageListener {
  /** @returns when it is written */
  take(replica: Pick<ConnectedReplica, 'id' | 'region' | 'environment'>, report: UsageReport): Promise<UsageAnswer>;
}

export interface StreamOptions {
  query: Query;
  signer: Signer;
  /** why this process must not serve a chain now; null: it may */
  refusal(environment: string): string | null;
  fleet: FleetListener;
  usage: UsageListener;
  /** what replicas have measured */
  measured(replica: ConnectedReplica, numbers: ReleaseNumbersReport): void;
  /** requests that somebody looks at */
  tailed(replica: ConnectedReplica, lines: TailLines): void;
  limits: StreamLimits;
  log: Logger;
  /** milliseconds since 1970 */
  now: () => number;
}
