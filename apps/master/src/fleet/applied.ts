/** Which replicas have to have a revision. */
export type Applied =
  | { by: 'all' }
  /** more than half of the replicas of each environment, whichever regions they are in */
  | { by: 'quorum' }
  | { by: 'region'; region: string };

/** Where one replica stands, as far as is known. */
export interface Position {
  replica: string;
  region: string;
  /** 0: it never said, or has nothing */
  revision: number;
  /** what it said last of itself is not of this chain: its numbers say nothing here */
  strange: boolean;
}

/** Whether a replica's own number means that it has a revision of this chain. @param newest revision that is known here */
export function hasApplied(
  one: { revision: number | null; strange: boolean },
  revision: number,
  newest: number,
): boolean {
  return !one.strange && one.revision !== null && one.revision >= revision && one.revision <= newest;
}

/**
 * Replicas that have yet to apply `revision` before it counts as applied; none: it does. Silent ones count like all others.
 * Where there is no replica, there is nothing to wait for.
 *
 * @param newest revision of the chain that is known here
 */
export function missingFor(
  applied: Applied,
  revision: number,
  positions: readonly Position[],
  newest: number,
): Position[] {
  const asked = applied.by === 'region' ? positions.filter(({ region }) => region === applied.region) : positions;
  const missing = asked.filter((position) => !hasApplied(position, revision, newest));
  if (applied.by === 'quorum' && missing.length * 2 < asked.length) return [];
  return missing;
}
