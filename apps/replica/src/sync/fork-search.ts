import { LIMITS, MAX_HEADER_BYTES, type TrustedKeys } from '#artifacts';
import type { StateStore } from '../state/state-store.js';
import { hashOf } from './head-book.js';
import { verifyAlone } from './verify-alone.js';
import type { RevisionSource } from './revision-source.js';

const LARGEST = LIMITS.bodyBytes + MAX_HEADER_BYTES;

/**
 * The first revision that differs between this replica and a source that has another history. Once two histories differ
 * they stay so, because every revision names the one before: it is found in about ten steps. For people only.
 *
 * @param trusted what others have signed, or nobody, says nothing about where two histories part
 * @returns null when it cannot be told: the revisions of that time are not kept any more, on one of the two sides, or are
 * not signed by a key that is believed now
 */
export async function firstDifference(
  state: StateStore,
  source: RevisionSource,
  trusted: TrustedKeys,
  signal: AbortSignal,
): Promise<number | null> {
  const { environment, firstDelta, revision } = state.position;
  const differs = async (number: number): Promise<boolean | null> => {
    const mine = hashOf(state.delta(number));
    const answer = await source.revision(number, LARGEST, signal);
    if (mine === null || answer.kind !== 'revision') return null;
    return verifyAlone(answer.bytes, environment, number, trusted).hash.toString('hex') !== mine;
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
