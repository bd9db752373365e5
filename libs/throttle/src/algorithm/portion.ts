import { MAX_LENT } from './rate.js';

/**
 * What one holder gets. Those that wait come first; for later it gets at most half of its share of what then remains:
 * near the limit nothing is lent, and a limit is refused early by no more than idle holders may keep.
 *
 * @param holders in the region, at least 1
 */
export function portion(
  available: number,
  need: number,
  ahead: number,
  holders: number,
): { granted: number; lent: number } {
  const granted = Math.min(available, need);
  return { granted, lent: Math.min(ahead, MAX_LENT, Math.floor((available - granted) / (2 * holders))) };
}
