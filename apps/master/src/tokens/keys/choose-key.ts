/** A key of an environment, as far as it matters for who signs by it. Times in milliseconds since 1970. */
export interface KeyTimes {
  signsFrom: number;
  /** null: not decided yet */
  leavesAt: number | null;
  /** by which signing key of the chain it is sealed */
  sealedBy: string;
}

/** How much the clocks of whoever verifies a token may differ from ours, and more. Seconds. */
export const CLOCK_SKEW_SECONDS = 120;

/** When the last token that a key may have signed has expired, where another signs from `successorFrom` on. */
export function leavingAt(successorFrom: number, mostTokenSeconds: number): number {
  return successorFrom + (mostTokenSeconds + CLOCK_SKEW_SECONDS) * 1000;
}

/**
 * The key to sign by: the newest whose time has come and that will be there as long as the token. While masters change from
 * one signing key of the chain to another, some of the keys are sealed by a key that this one does not have; a key that was
 * announced is better then than none.
 *
 * @param sealer of this master
 * @returns null: it needs another key
 */
export function chooseKey<K extends KeyTimes>(
  keys: readonly K[],
  sealer: string,
  now: number,
  tokenSeconds: number,
): K | null {
  const lasts = ({ leavesAt }: K): boolean =>
    leavesAt === null || leavesAt >= now + (tokenSeconds + CLOCK_SKEW_SECONDS) * 1000;
  const usable = keys.filter((key) => key.sealedBy === sealer && lasts(key)).sort((a, b) => a.signsFrom - b.signsFrom);
  return usable.findLast(({ signsFrom }) => signsFrom <= now) ?? usable[0] ?? null;
}
