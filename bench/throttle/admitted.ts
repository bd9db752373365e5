/** When a request was sent, and when it arrived upstream: it was admitted in between. Microseconds, see `monotonicMicros`. */
export type Admitted = readonly [sent: number, arrived: number];

/** The field that carries when a request was sent. */
export const SENT_FIELD = 'x-sent';
/** What the upstream answers with what it noted, and forgets it. */
export const TAKEN_PATH = '/taken';

/** Microseconds of the one clock that all processes of a machine share, and nobody sets. */
export const monotonicMicros = (): number => Number(process.hrtime.bigint() / 1000n);

/**
 * Tokens beyond a limit in the worst of all windows, of any length: 0 where it was kept. What was sent after a window began and
 * arrived before it ended was certainly admitted in it, however long either took; no more may be than `burst` and what the rate
 * brings meanwhile.
 */
export function overshoot(admitted: readonly Admitted[], limit: { perSecond: number; burst: number }): number {
  const latestFirst = [...admitted].sort((a, b) => b[0] - a[0]);
  /** of all that were sent in the window, ascending */
  const arrivals: number[] = [];
  let worst = 0;
  for (const [sent, arrived] of latestFirst) {
    arrivals.splice(placeOf(arrived, arrivals), 0, arrived);
    arrivals.forEach((end, i) => {
      const allowed = limit.burst + ((end - sent) / 1e6) * limit.perSecond;
      worst = Math.max(worst, i + 1 - allowed);
    });
  }
  // the last part of a token is what two clocks differ by
  return Math.floor(worst);
}

/** How many of the sorted numbers are less. */
function placeOf(value: number, sorted: readonly number[]): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
