/**
 * Wilson's score interval: where the true share lies when `share` of `n` was seen. It holds for small numbers and for
 * shares near 0, where the usual one does not.
 *
 * @param z standard deviations on each side
 */
export function boundsOfShare(share: number, n: number, z: number): { lower: number; upper: number } {
  if (n === 0) return { lower: 0, upper: 1 };
  const z2 = z * z;
  const middle = share + z2 / (2 * n);
  const width = z * Math.sqrt((share * (1 - share)) / n + z2 / (4 * n * n));
  return { lower: Math.max(0, (middle - width) / (1 + z2 / n)), upper: Math.min(1, (middle + width) / (1 + z2 / n)) };
}

/**
 * How much speaks for a true share above `allowed` when `count` of `n` were seen: by chance alone, so many or more are seen with a
 * probability of e^-evidence at the most (Chernoff's bound). It holds for any n, small ones above all, where an interval of
 * standard deviations promises more than it keeps: 4 of 100 at 1% allowed is seen by chance once in 54 times.
 *
 * @returns 0 where the share is not above
 */
export function evidence(count: number, n: number, allowed: number): number {
  const share = count / n;
  if (n === 0 || share <= allowed) return 0;
  if (allowed === 0) return Number.POSITIVE_INFINITY;
  const without = share === 1 ? 0 : (1 - share) * Math.log((1 - share) / (1 - allowed));
  return n * (share * Math.log(share / allowed) + without);
}

/**
 * A quantile of a histogram, as if the values of a bucket were spread over it evenly. Of the last bucket, which has no
 * end, it is infinite.
 *
 * @param counts one more than `bounds`, which are upper ones
 */
export function quantile(counts: readonly number[], q: number, bounds: readonly number[]): number {
  const total = counts.reduce((a, b) => a + b, 0);
  let left = total * q;
  for (const [i, count] of counts.entries()) {
    if (left <= count && count > 0) {
      const from = bounds[i - 1] ?? 0;
      const to = bounds[i] ?? Number.POSITIVE_INFINITY;
      return from + (to - from) * (left / count);
    }
    left -= count;
  }
  return 0;
}

/** How many values of a histogram are larger than `limit`; that one's bucket counts by its part. */
export function slowerThan(counts: readonly number[], limit: number, bounds: readonly number[]): number {
  let slower = 0;
  for (const [i, count] of counts.entries()) {
    const from = bounds[i - 1] ?? 0;
    const to = bounds[i] ?? Number.POSITIVE_INFINITY;
    if (from >= limit) slower += count;
    else if (to > limit && to !== Number.POSITIVE_INFINITY) slower += (count * (to - limit)) / (to - from);
  }
  return slower;
}
