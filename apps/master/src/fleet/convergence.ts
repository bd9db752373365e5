import type { SyncState } from '#model';
import { hasApplied } from './applied.js';
import type { Convergence } from './convergence.endpoints.js';

/** Where one replica stands, and which root it told of which revision. */
export interface ReplicaStanding {
  id: string;
  region: string;
  revision: number | null;
  positionAt: Date | null;
  state: SyncState | null;
  connected: boolean;
  /** seconds; null: it never said anything */
  silentFor: number | null;
  /** of its last report, in hexadecimal */
  root: string | null;
  rootRevision: number | null;
  /** the master's root of that revision; null: it has no such revision */
  expectedRoot: string | null;
  /** see `Position` */
  strange: boolean;
}

const MOST_NAMED = 100;
/** A replica that was not heard of for so long is told apart from one that is slow. */
const SILENT_SECONDS = 60;

/**
 * @param newest revision of the chain
 * @param regions all of the environment, also those without a replica
 */
export function convergenceOf(
  {
    environment,
    revision,
    issuedAt,
    newest,
  }: { environment: string; revision: number; issuedAt: Date | null; newest: number },
  regions: readonly string[],
  replicas: readonly ReplicaStanding[],
): Convergence {
  const applied = (one: ReplicaStanding): boolean => hasApplied(one, revision, newest);
  const silent = (one: ReplicaStanding): boolean => (one.silentFor ?? Number.POSITIVE_INFINITY) > SILENT_SECONDS;
  const count = (list: readonly ReplicaStanding[]) => ({ total: list.length, applied: list.filter(applied).length });
  const missing = replicas.filter((one) => !applied(one));
  const different = replicas.flatMap(({ id, region, root, rootRevision, expectedRoot }) =>
    root !== null && rootRevision !== null && expectedRoot !== null && root !== expectedRoot
      ? [{ replica: id, region, revision: rootRevision, root, expected: expectedRoot }]
      : [],
  );
  const equal = replicas.filter(({ root, expectedRoot }) => root !== null && root === expectedRoot).length;
  const appliedAt = replicas.flatMap((one) =>
    one.revision === revision && !one.strange && one.positionAt ? [one.positionAt] : [],
  );
  return {
    environment,
    revision,
    issuedAt: issuedAt?.toISOString() ?? null,
    complete: missing.length === 0 && different.length === 0,
    replicas: { ...count(replicas), silent: missing.filter(silent).length },
    regions: Object.fromEntries(
      regions.map((region) => [region, count(replicas.filter((one) => one.region === region))]),
    ),
    missing: missing
      .sort((a, b) => (a.revision ?? -1) - (b.revision ?? -1))
      .slice(0, MOST_NAMED)
      .map((one) => ({
        replica: one.id,
        region: one.region,
        revision: one.revision,
        behind: Math.max(0, revision - (one.revision ?? 0)),
        otherChain: one.strange || (one.revision ?? 0) > newest,
        state: one.state,
        connected: one.connected,
        silent: silent(one),
        silentForSeconds: one.silentFor,
      })),
    lastAppliedAt:
      appliedAt.length === 0 ? null : new Date(Math.max(...appliedAt.map((at) => at.getTime()))).toISOString(),
    roots: {
      equal,
      unknown: replicas.length - equal - different.length,
      different: different.slice(0, MOST_NAMED),
    },
  };
}
