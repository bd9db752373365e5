import { backoffMs, jittered } from '#platform';

/** Seconds between the attempts to deliver one event, as Standard Webhooks proposes; together a day and a third. */
const SCHEDULE_S = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600];
const JITTER = 0.1;
/** An endpoint whose last attempts have failed is asked for one event at a time, and less and less often. */
const PAUSE_MS = { first: 1_000, most: 60_000 };
/** Longer than that nobody is left alone because he asks for it. */
const MOST_ASKED_S = 3600;

/** @param attempts that have failed, the last one included @returns milliseconds; null: it is given up */
export function nextAttemptMs(attempts: number, random: () => number): number | null {
  const seconds = SCHEDULE_S[attempts - 1];
  return seconds === undefined ? null : jittered(seconds * 1000, JITTER, random);
}

/**
 * How long nothing is sent to an endpoint.
 *
 * @param failures attempts that have failed one after the other, whatever they were about
 * @param retryAfter seconds that it asks for; null: it does not
 */
export function pauseMs(failures: number, retryAfter: number | null, random: () => number): number {
  const own = backoffMs(failures - 1, PAUSE_MS.first, PAUSE_MS.most, random);
  return Math.max(own, Math.min(retryAfter ?? 0, MOST_ASKED_S) * 1000);
}
