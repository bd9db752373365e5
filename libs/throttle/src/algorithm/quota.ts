import type { QuotaLimit } from '#model';

export const DAY_MS = 86_400_000;

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

/**
 * The state in the window of `wallMs`. A clock that is set back opens no window again: the next one goes on when it had
 * begun. A window that begins later than that was made by a clock that was wrong by far: what was used counts now.
 */
export function settleQuota(state: QuotaState | null, limit: QuotaLimit, wallMs: number): QuotaState {
  const { start, end } = quotaWindow(limit, wallMs);
  if (state === null || state.start < start) return { start, used: 0 };
  return state.start > end ? { start, used: state.used } : state;
}

/** Names a lease by its window. */
export function quotaLease(state: QuotaState): number {
  return state.start / DAY_MS;
}

/** Ends a lease: its tokens come back unless their window has ended. */
export function endQuotaLease(state: QuotaState, unused: number, lease: number): QuotaState {
  if (lease === 0 || lease !== quotaLease(state)) return state;
  return { start: state.start, used: Math.max(0, state.used - unused) };
}
