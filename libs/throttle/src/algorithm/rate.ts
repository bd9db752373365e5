import type { RateLimit } from '#model';

/*
 * GCRA, kept as a debt: every token taken adds to it, time pays it back, and it may never exceed `burst` tokens.
 *
 * All numbers are integers, so nothing drifts. A period has a million ticks (1 us of a second, 60 us of a minute, 3.6 ms
 * of an hour); a token costs a million units and each tick pays back `limit` units. The largest debt is then
 * burst * 10^6 <= 10^15 < 2^53. Counting T = period / limit in microseconds instead would have to be rounded for most
 * limits, and a burst of 3 at 3 a second would end after two.
 *
 * Tokens that are lent may be spent later than they were taken. The debt stays at least as large as they are, so that
 * what is in the bucket and what is lent never come to more than `burst`. Nobody keeps a list of holders for that: time
 * has slices as long as a lease, and a lease counts in the slice in which it was granted and in the next one.
 *
 *   slice        |    k    |   k+1   |  k+2
 *   lease          [granted at the earliest ... latest end]
 *   counts         ├─────────────────┤
 *
 * The same arithmetic is in store/counter-function.ts, in Lua.
 */
export const UNITS_PER_TOKEN = 1_000_000;
export const TICK_MICROS = { second: 1, minute: 60, hour: 3600 } as const satisfies Record<RateLimit['per'], number>;
/** LEASE_MS, in microseconds. */
export const SLICE_MICROS = 1_000_000;
/** Tokens of one lease at most, so that its name has room for their number. */
export const MAX_LENT = 2 ** 20 - 1;
/** Names of leases repeat after so many milliseconds: long after the leases have ended. */
const LEASE_CYCLE_MS = 1_000_000;

export interface RateState {
  /** units, as of `at` */
  debt: number;
  /** microseconds */
  at: number;
  /** the number of the slice in which something was lent last */
  slice: number;
  /** tokens lent in that slice */
  lent: number;
  /** ... and in the one before it */
  lentBefore: number;
}

export const newRateState = (at: number): RateState => ({
  debt: 0,
  at,
  slice: sliceOf(at),
  lent: 0,
  lentBefore: 0,
});

export function burstOf(limit: RateLimit): number {
  return limit.burst ?? limit.limit;
}

/** The state at `now`. A clock that goes back a little stands still; one that goes back by more was set, and runs from there. */
export function settleRate(before: RateState, limit: RateLimit, now: number): RateState {
  const tick = TICK_MICROS[limit.per];
  const state = { ...before };
  if (now < state.at - SLICE_MICROS) return { ...state, at: now, slice: sliceOf(now) };
  const slice = sliceOf(Math.max(now, state.at));
  // what is lent holds the debt up until its slice has passed, and not only until somebody asks
  while (state.slice < slice && state.lent + state.lentBefore > 0) {
    pay(state, limit, tick, (state.slice + 1) * SLICE_MICROS);
    state.slice += 1;
    state.lentBefore = state.lent;
    state.lent = 0;
  }
  state.slice = slice;
  pay(state, limit, tick, now);
  return state;
}

function pay(state: RateState, limit: RateLimit, tick: number, now: number): void {
  // Differences of floored times add up without loss. The product may lose digits above 2^53: then it exceeds any debt.
  const ticks = Math.max(0, Math.floor(now / tick) - Math.floor(state.at / tick));
  state.debt = Math.max(state.debt - ticks * limit.limit, (state.lent + state.lentBefore) * UNITS_PER_TOKEN);
  state.at = Math.max(now, state.at);
}

/** Whole tokens in a settled bucket; none while a plan that became smaller is still owed for. */
export function availableTokens(state: RateState, limit: RateLimit): number {
  return Math.max(0, Math.floor((burstOf(limit) * UNITS_PER_TOKEN - state.debt) / UNITS_PER_TOKEN));
}

/** Of a settled bucket, at most what is available. @param lent those of the tokens that may be spent later */
export function chargeRate(state: RateState, tokens: number, lent: number): RateState {
  return { ...state, debt: state.debt + tokens * UNITS_PER_TOKEN, lent: state.lent + lent };
}

/** Names a lease that is granted now: when, and how many tokens. Never 0. */
export function rateLease(state: RateState, lent: number): number {
  return ((Math.floor(state.at / 1000) % LEASE_CYCLE_MS) + 1) * (MAX_LENT + 1) + lent;
}

/**
 * Ends a lease in a settled bucket. Lent tokens come back as they were. Those of requests that waited come back less
 * what time has paid since, as it may have paid for them. Nothing comes back of a lease that counts no more: time has
 * paid for all of it.
 */
export function endRateLease(state: RateState, limit: RateLimit, unused: number, lease: number): RateState {
  if (lease === 0) return state;
  const lent = lease % (MAX_LENT + 1);
  const nowMs = Math.floor(state.at / 1000);
  const ageMs = (nowMs - (Math.floor(lease / (MAX_LENT + 1)) - 1) + LEASE_CYCLE_MS) % LEASE_CYCLE_MS;
  const slices = state.slice - Math.floor((nowMs - ageMs) / 1000);
  if (slices > 1) return state;
  const back = Math.min(unused, lent);
  const tick = TICK_MICROS[limit.per];
  const ticks = Math.floor(state.at / tick) - Math.floor(((nowMs - ageMs) * 1000) / tick);
  const waited = Math.max(0, (unused - back) * UNITS_PER_TOKEN - ticks * limit.limit);
  const current = slices === 0;
  return {
    ...state,
    debt: Math.max(0, state.debt - back * UNITS_PER_TOKEN - waited),
    lent: current ? Math.max(0, state.lent - lent) : state.lent,
    lentBefore: current ? state.lentBefore : Math.max(0, state.lentBefore - lent),
  };
}

/** Milliseconds until a settled bucket holds `tokens` again, rounded up; 0 when it does. */
export function rateWaitMs(state: RateState, limit: RateLimit, tokens: number): number {
  const excess = state.debt - (burstOf(limit) - tokens) * UNITS_PER_TOKEN;
  return excess <= 0 ? 0 : Math.ceil((Math.ceil(excess / limit.limit) * TICK_MICROS[limit.per]) / 1000);
}

function sliceOf(micros: number): number {
  return Math.floor(micros / SLICE_MICROS);
}
