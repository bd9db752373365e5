import { StoreError } from '#artifacts';
import { backoffMs } from '#platform';
import { ForeignDelta } from './deltas.js';

const RETRY_MS = { first: 200, most: 15_000 };
/** How often a store that belongs to somebody else is looked at, in case that was mended. */
const LOOK_AGAIN_MS = 30_000;

/** Somebody wrote the head since it was read: perhaps ourselves, in a call that seemed to fail. */
export class HeadMoved extends Error {}
/** What lies there is another master's. */
export class Foreign extends Error {}

/** What an error says about the store, and how many milliseconds to wait; null: the next look tells. kind: what counts as another error */
export function faultOf(
  error: Error,
  failures: number,
): { says: { state: 'failing' | 'conflict'; kind: string } | null; wait: number } {
  // whose they are the head tells
  if ((error instanceof HeadMoved || error instanceof ForeignDelta) && failures === 0) return { says: null, wait: 0 };
  if (error instanceof Foreign || error instanceof ForeignDelta)
    return { says: { state: 'conflict', kind: error.message }, wait: LOOK_AGAIN_MS };
  const kind = error instanceof StoreError ? error.code : error.message;
  return { says: { state: 'failing', kind }, wait: backoffMs(failures, RETRY_MS.first, RETRY_MS.most, Math.random) };
}
