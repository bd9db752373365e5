import { BUCKETS, LIMITS, type SnapshotBucket } from '#artifacts';
import { type Piece, type Route, routeBetween, type SizeOf } from './routes.js';

/** What one entry that changed has at the least in a segment: to guess how many of the buckets differ. */
const ENTRY_BYTES = 41;

export interface Situation {
  /** the revision that is here, and the one to go to */
  from: number;
  to: number;
  sizeOf: SizeOf;
  /** the newest snapshot that is good for this; null: there is none */
  snapshot: { revision: number; bytes: number } | null;
  /** of that snapshot, once it was fetched */
  manifest: readonly SnapshotBucket[] | null;
  /** the sum of each bucket here; null for one that never had an entry */
  sums: readonly (Buffer | null)[];
}

export type Plan =
  /** these sizes have to be known first */
  | { kind: 'ask'; pieces: Piece[] }
  /** the snapshot may be cheaper: which buckets differ tells */
  | { kind: 'look' }
  | { kind: 'route'; route: Route }
  /** these buckets, and then from the snapshot's revision on */
  | { kind: 'snapshot'; buckets: number[]; bytes: number }
  | { kind: 'none' };

/** The cheapest next thing, in bytes: segments and revisions, or those buckets of a snapshot that differ and what came after it. */
export function planCatchUp(situation: Situation): Plan {
  const { from, manifest, sizeOf, snapshot, sums, to } = situation;
  const direct = routeBetween(from, to, sizeOf);
  if (direct.unknown.length > 0) return { kind: 'ask', pieces: direct.unknown };
  const { route } = direct;
  const otherwise: Plan = route ? { kind: 'route', route } : { kind: 'none' };
  if (!snapshot || snapshot.revision <= from || snapshot.revision > to) return otherwise;
  // Less than its list of buckets nothing can be.
  if (route && route.bytes <= LIMITS.manifestBytes) return otherwise;
  const rest = routeBetween(snapshot.revision, to, sizeOf);
  if (rest.unknown.length > 0) return { kind: 'ask', pieces: rest.unknown };
  // With no way on from it the snapshot is better than nothing, and nothing else.
  const after = rest.route?.bytes ?? Number.POSITIVE_INFINITY;
  if (manifest === null) {
    const guess = LIMITS.manifestBytes + snapshot.bytes * shareOfBuckets(from, route) + after;
    return !route || guess < route.bytes ? { kind: 'look' } : otherwise;
  }
  const buckets = differing(manifest, sums);
  const bytes = bytesOf(manifest, buckets);
  return !route || bytes + after < route.bytes ? { kind: 'snapshot', buckets, bytes } : otherwise;
}

/** Buckets whose content is another one than here. */
export function differing(manifest: readonly SnapshotBucket[], sums: readonly (Buffer | null)[]): number[] {
  const isZero = (sum: Buffer): boolean => sum.every((byte) => byte === 0);
  return manifest.flatMap(({ sum }, bucket) => {
    const here = sums[bucket];
    return (here ? sum.equals(here) : isZero(sum)) ? [] : [bucket];
  });
}

export function bytesOf(manifest: readonly SnapshotBucket[], buckets: readonly number[]): number {
  return buckets.reduce((bytes, bucket) => bytes + (manifest[bucket]?.bytes ?? 0), 0);
}

/** How many of the buckets will differ, from 0 to 1: those that so many changes hit, thrown at random. */
function shareOfBuckets(from: number, route: Route | null): number {
  if (from === 0 || !route) return 1;
  return 1 - Math.exp(-route.bytes / ENTRY_BYTES / BUCKETS);
}
