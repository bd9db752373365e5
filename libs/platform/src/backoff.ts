/**
 * Exponential backoff with full jitter: attempt 0 waits up to `baseMs`, each next one up to twice as much, never more
 * than `maxMs`. Half of the bound is kept as a floor, so that a herd spreads out but nobody hammers.
 *
 * @param random a number in [0, 1), handed in so that tests are exact
 * @returns milliseconds
 */
export function backoffMs(attempt: number, baseMs: number, maxMs: number, random: () => number): number {
  const bound = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(bound / 2 + (bound / 2) * random());
}

/** Spreads a period by plus or minus `share` (0.1 = 10%), so that replicas that started together do not poll together. */
export function jittered(periodMs: number, share: number, random: () => number): number {
  return Math.round(periodMs * (1 + share * (2 * random() - 1)));
}
