import type { Nack, ReplicaStatus } from '#model';
import type { PortCertificate } from './gateway/tls/port-certificates.js';
import type { WorkerStatus } from './gateway/pool-options.js';
import type { StoredPosition } from './state/state-layout.js';
import type { KnownHead } from './state/state-layout.js';
import type { Sync } from './sync/sync.js';
import { lastFault } from './sync/sync-machine.js';
import { VERSION } from './version.js';

/** Everything that the status of a replica is made of, at one moment. */
export interface ReplicaFacts {
  replica: string;
  region: string;
  /** as far as it is served */
  position: Readonly<StoredPosition>;
  head: Readonly<KnownHead> | null;
  nacks: readonly Nack[];
  /** null before it is known where the chain comes from */
  sync: Readonly<Sync> | null;
  source: ReplicaStatus['source'];
  throttle: ReplicaStatus['throttle'];
  traffic?: ReplicaStatus['traffic'];
  /** why it could not join yet */
  joinFault: { code: string; detail: string; at: number } | null;
}

/** What `GET /status` adds for people. */
export interface NodeFacts {
  workers: WorkerStatus[];
  /** the newest revision on this disk: a moment ahead of `revision`, which every gateway worker serves */
  applied: number;
  /** as `revision`; 0 while no gateway worker listens */
  loaded: number;
  store: string | null;
  uptimeSeconds: number;
  /** what both ports show to clients in TLS */
  certificates: PortCertificate[];
}

export type NodeStatus = ReplicaStatus & NodeFacts;

const MAX_DETAIL = 2000;

/** @param now milliseconds since 1970 */
export function statusOf(
  { head, joinFault, nacks, position, region, replica, source, sync, throttle, traffic }: ReplicaFacts,
  now: number,
): ReplicaStatus {
  const { environment, epoch, revision, hash, root, issuedAt, appliedAt } = position;
  const fault = (sync && lastFault(sync)) ?? joinFault;
  return {
    replica,
    region,
    environment,
    build: VERSION,
    state: sync?.state ?? 'booting',
    ...(sync ? { since: new Date(sync.since).toISOString() } : {}),
    source,
    freshness: head !== null && now < head.expiresAt ? 'fresh' : 'stale',
    epoch,
    revision,
    hash: revision > 0 ? hash : null,
    root: revision > 0 ? root : null,
    head: Math.max(revision, head?.revision ?? 0),
    lagMs: revision > 0 ? appliedAt - issuedAt : null,
    throttle,
    ...(traffic ? { traffic } : {}),
    nacks: [...nacks],
    lastError: fault && {
      code: fault.code,
      detail: fault.detail.slice(0, MAX_DETAIL),
      at: new Date(fault.at).toISOString(),
    },
  };
}
