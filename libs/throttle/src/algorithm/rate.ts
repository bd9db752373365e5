import type { RateLimit } from '#model';

/*
 * GCRA, kept as a debt: every token taken adds to it, time pays it back, and it may never exceed `burst` tokens.
 *
 * All numbers are integers, so nothing drifts. A period has a million ticks (1 us of a second, 60 us of a minute, 3.6 ms
 * of an hour); a token costs a million units and each tick pays back `limit` units. The largest debt is then
 * burst * 10^6 <= 10^15 < 2^53. Counting T = period / limit in microseconds instead would have to be rounded for most
 * limits, and a burst of 3 at 3 a second would end after two.
 */
const UNITS_PER_TOKEN = 1_000_000;
const TICK_MICROS = { second: 1, minute: 60, hour: 3600 } as const satisfies Record<RateLimit['per'], number>;

export interface RateState {
  /** units, as of `at` */
  debt: number;
  /** microseconds of a clock that never goes back */
  at: number;
}

export const newRateState = (at: number): RateState => ({ debt: 0, at });

export function burstOf(limit: RateLimit): number {
  return limit.burst ?? limit.limit;
}

/**
 * The state at `now`.
 *
 * @param lent tokens that were taken but may not be spent yet: the debt stays at least as large, so that what is in the
 *   bucket and what is lent never come to more than `burst`
 */
export function settleRate(state: RateState, limit: RateLimit, lent: number, now: number): RateState {
  const tick = TICK_MICROS[limit.per];
  // Differences of floored times add up without loss. The product may lose digits above 2^53: then it exceeds any debt.
  const ticks = Math.max(0, Math.floor(now / tick) - Math.floor(state.at / tick));
  return { debt: Math.max(state.debt - ticks * limit.limit, lent * UNITS_PER_TOKEN, 0), at: Math.max(now, state.at) };
}

/** Whole tokens in a settled bucket; none while a plan that became smaller is still owed for. */
export function availableTokens(state: RateState, limit: RateLimit): number {
  return Math.max(0, Math.floor((burstOf(limit) * UNITS_PER_TOKEN - state.debt) / UNITS_PER_TOKEN));
}

/** @param tokens at most what is available; negative: they come back */
export function chargeRate(state: RateState, tokens: number): RateState {
  return { debt: Math.max(0, state.debt + tokens * UNITS_PER_TOKEN), at: state.at };
}

/** Milliseconds until a settled bucket holds `tokens` again, rounded up; 0 when it does. */
export function rateWaitMs(state: RateState, limit: RateLimit, tokens: number): number {
  const excess = state.debt - (burstOf(limit) - tokens) * UNITS_PER_TOKEN;
  return excess <= 0 ? 0 : Math.ceil((Math.ceil(excess / limit.limit) * TICK_MICROS[limit.per]) / 1000);
}
