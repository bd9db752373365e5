import { LIMITS, MAX_HEADER_BYTES } from '#artifacts';
import type { StateStore } from '../state/state-store.js';
import { hashOf } from './head-book.js';
import type { RevisionSource } from './revision-source.js';

const LARGEST = LIMITS.bodyBytes + MAX_HEADER_BYTES;

/**
 * The first revision that differs between this replica and a source that has another history. Once two histories differ
 * they stay so, because every revision names the one before: it is found in about ten steps. For people only.
 *
 * @returns null when it cannot be told: the revisions of that time are not kept any more, on one of the two sides
 */
export async function firstDifference(
  state: StateStore,
  source: RevisionSource,
  signal: AbortSignal,
): Promise<number | null> {
  const { firstDelta, revision } = state.position;
  const differs = async (number: number): Promise<boolean | null> => {
    const mine = hashOf(state.delta(number));
    const answer = await source.revision(number, LARGEST, signal);
    return mine === null || answer.kind !== 'revision' ? null : hashOf(answer.bytes) !== mine;
  };
  let [same, different] = [firstDelta - 1, revision];
  try {
    if (revision === 0 || !(await differs(revision))) return null;
    while (different - same > 1) {
      const middle = Math.floor((same + different) / 2);
      const answer = await differs(middle);
      if (answer === null) return null;
      if (answer) different = middle;
      else same = middle;
    }
  } catch {
    return null; // what it is for was told already; this would only have added to it
  }
  // the oldest kept one differs: it may have been an earlier one
  return different === firstDelta && firstDelta > 1 ? null : different;
}
