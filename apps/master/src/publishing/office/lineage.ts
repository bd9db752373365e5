import { hash } from 'node:crypto';
import { type ArtifactStore, decodeHeader, deltaName, FormatError, LIMITS, MAX_HEADER_BYTES } from '#artifacts';
import type { Query } from '../options.js';

export const MOST_DELTA_BYTES = MAX_HEADER_BYTES + LIMITS.bodyBytes;

/** A revision's exact bytes in the store; null: it is not there. */
export async function storedRevision(
  store: ArtifactStore,
  environment: string,
  revision: number,
  signal: AbortSignal,
): Promise<Buffer | null> {
  return (await store.get(deltaName(environment, revision), MOST_DELTA_BYTES, signal))?.bytes ?? null;
}

/**
 * The first revision that is another one in the store than in this database, by halves: each revision names the one
 * before it, so that two histories that differ once differ from there on.
 *
 * @param upTo a revision that is known to differ
 * @returns null when the store or the database no longer has enough to tell
 */
export async function firstDifferent(
  store: ArtifactStore,
  query: Query,
  environment: string,
  upTo: number,
  signal: AbortSignal,
): Promise<number | null> {
  let [same, different] = [0, upTo];
  while (different - same > 1) {
    const middle = (same + different) >> 1;
    const equal = await isSame(store, query, environment, middle, signal);
    if (equal === null) return null;
    if (equal) same = middle;
    else different = middle;
  }
  return different;
}

async function isSame(
  store: ArtifactStore,
  query: Query,
  environment: string,
  revision: number,
  signal: AbortSignal,
): Promise<boolean | null> {
  const [ours] = await query<{ hash: Buffer }>(
    'SELECT hash FROM revision WHERE environment_id = $1 AND revision = $2',
    [environment, revision],
  );
  const theirs = await storedRevision(store, environment, revision, signal);
  if (!ours || !theirs) return null;
  try {
    // whoever signed it: this only tells people where to look
    return hash('sha256', decodeHeader(theirs).signed, 'buffer').equals(ours.hash);
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}
