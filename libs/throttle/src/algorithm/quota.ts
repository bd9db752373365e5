import type { QuotaLimit } from '#model';

const DAY_MS = 86_400_000;

/** A count within one calendar window, UTC. */
export interface QuotaState {
  /** the first millisecond of the window, since 1970 */
  start: number;
  used: number;
}

export interface QuotaWindow {
  start: number;
  /** the first millisecond of the next one */
  end: number;
}

/** The day or month, UTC, that a moment lies in. There are no leap seconds in milliseconds since 1970. */
export function quotaWindow(limit: QuotaLimit, wallMs: number): QuotaWindow {
  if (limit.per === 'day') {
    const start = Math.floor(wallMs / DAY_MS) * DAY_MS;
    return { start, end: start + DAY_MS };
  }
  const date = new Date(wallMs);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  return { start: Date.UTC(year, month, 1), end: Date.UTC(year, month + 1, 1) };
}

/** The state in the window of `wallMs`. A clock that is set back opens no window again: the later one goes on. */
export function settleQuota(state: QuotaState | null, limit: QuotaLimit, wallMs: number): QuotaState {
  const { start } = quotaWindow(limit, wallMs);
  return state === null || state.start < start ? { start, used: 0 } : state;
}
