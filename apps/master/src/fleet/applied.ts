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
}

/**
 * Replicas that have yet to apply `revision` before it counts as applied; none: it does. Silent ones count like all others.
 * Where there is no replica, there is nothing to wait for.
 */
export function missingFor(applied: Applied, revision: number, positions: readonly Position[]): Position[] {
  const asked = applied.by === 'region' ? positions.filter(({ region }) => region === applied.region) : positions;
  const missing = asked.filter((position) => position.revision < revision);
  if (applied.by === 'quorum' && missing.length * 2 < asked.length) return [];
  return missing;
}
