import { performance } from 'node:perf_hooks';

/** The two clocks that limits are measured by. */
export interface Clock {
  /** milliseconds since 1970: calendar windows follow it, corrections included */
  wallMs: () => number;
  /** milliseconds with fractions, from anywhere; never goes back: rates and leases follow it */
  monotonicMs: () => number;
}

export const systemClock: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };
