import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RateLimit } from '#model';
import {
  availableTokens,
  burstOf,
  chargeRate,
  endRateLease,
  newRateState,
  rateLease,
  rateWaitMs,
  settleRate,
} from './rate.js';

const TICK = { second: 1, minute: 60, hour: 3600 } as const;

const limits = fc.record({
  limit: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 1_000_000_000 })),
  per: fc.constantFrom('second' as const, 'minute' as const, 'hour' as const),
  burst: fc.option(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 1_000_000_000 })), {
    nil: undefined,
  }),
});

/** Takes up to `want` tokens at `now`. */
function take(state: ReturnType<typeof newRateState>, limit: RateLimit, want: number, now: number) {
  const settled = settleRate(state, limit, now);
  const granted = Math.min(want, availableTokens(settled, limit));
  return { state: chargeRate(settled, granted, 0), granted };
}

describe('the rate', () => {
  it('T1 in no interval are more tokens taken than the burst and what the interval pays back', () => {
    const steps = fc.array(
      fc.record({ pause: fc.integer({ min: 0, max: 5_000_000 }), want: fc.integer({ min: 1, max: 100 }) }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(limits, steps, fc.integer({ min: 0, max: 1_000_000 }), (limit, takes, start) => {
        let now = start;
        let state = newRateState(now);
        const log: { tick: number; granted: number }[] = [];
        for (const { pause, want } of takes) {
          now += pause;
          const taken = take(state, limit, want, now);
          state = taken.state;
          log.push({ tick: Math.floor(now / TICK[limit.per]), granted: taken.granted });
        }
        for (let from = 0; from < log.length; from++) {
          let sum = 0;
          for (let to = from; to < log.length; to++) {
            sum += log[to]?.granted ?? 0;
            const ticks = (log[to]?.tick ?? 0) - (log[from]?.tick ?? 0);
            expect(sum).toBeLessThanOrEqual(Math.floor(burstOf(limit) + (limit.limit * ticks) / 1_000_000));
          }
        }
      }),
    );
  });

  it('gives the whole burst at one instant, whatever the period divided by the limit is', () => {
    fc.assert(
      fc.property(limits, (limit) => {
        let state = newRateState(0);
        const first = take(state, limit, burstOf(limit), 0);
        expect(first.granted).toBe(burstOf(limit));
        state = newRateState(0);
        for (let i = 0; i < Math.min(20, burstOf(limit)); i++) {
          const one = take(state, limit, 1, 0);
          expect(one.granted).toBe(1);
          state = one.state;
        }
        expect(availableTokens(state, limit)).toBe(Math.max(0, burstOf(limit) - 20));
      }),
    );
  });

  it('says how long to wait so that the token is there then, and not a tick earlier', () => {
    fc.assert(
      fc.property(limits, fc.integer({ min: 0, max: 10_000_000 }), (limit, start) => {
        const empty = chargeRate(settleRate(newRateState(start), limit, start), burstOf(limit), 0);
        const wait = rateWaitMs(empty, limit, 1);
        // it runs from a tick's beginning at the earliest
        const later = settleRate(empty, limit, start + wait * 1000);
        expect(availableTokens(later, limit)).toBeGreaterThanOrEqual(1);
        const earlier = start + (wait - 1) * 1000 - TICK[limit.per];
        if (earlier > start) expect(availableTokens(settleRate(empty, limit, earlier), limit)).toBe(0);
      }),
    );
  });

  it('admits the limit exactly over a long time of overload', () => {
    const limit: RateLimit = { limit: 7, per: 'second', burst: 2 };
    let state = newRateState(0);
    let granted = 0;
    for (let now = 0; now < 60_000_000; now += 10_000) {
      const taken = take(state, limit, 5, now);
      state = taken.state;
      granted += taken.granted;
    }
    expect(granted).toBe(2 + 7 * 60 - 1); // the last token falls due at the end itself
  });

  it('takes a clock that stands still or goes back for no time at all', () => {
    const limit: RateLimit = { limit: 10, per: 'second', burst: 1 };
    const taken = take(newRateState(1_000_000), limit, 1, 1_000_000);
    expect(take(taken.state, limit, 1, 500_000).granted).toBe(0);
    expect(take(settleRate(taken.state, limit, 500_000), limit, 1, 1_099_999).granted).toBe(0);
    expect(take(taken.state, limit, 1, 1_100_000).granted).toBe(1);
  });

  it('goes on from a clock that was set back by far, with what is owed', () => {
    const limit: RateLimit = { limit: 10, per: 'second', burst: 1 };
    const taken = take(newRateState(3_600_000_000), limit, 1, 3_600_000_000);
    expect(take(taken.state, limit, 1, 1_000_000).granted).toBe(0);
    expect(take(settleRate(taken.state, limit, 1_000_000), limit, 1, 1_100_000).granted).toBe(1);
  });

  describe('what is lent', () => {
    const limit: RateLimit = { limit: 100, per: 'second', burst: 10 };
    const available = (state: ReturnType<typeof newRateState>, now: number) =>
      availableTokens(settleRate(state, limit, now), limit);

    it('holds the debt up in its slice of time and the next one, and no longer', () => {
      const lent = chargeRate(newRateState(700_000), 4, 4);
      expect(available(lent, 1_999_999)).toBe(6);
      expect(available(lent, 2_039_999)).toBe(9); // time pays again from then on
      expect(available(lent, 2_040_000)).toBe(10);
    });

    it('comes back as it was while it counts, and not at all later', () => {
      const lent = chargeRate(newRateState(700_000), 4, 4);
      const lease = rateLease(lent, 4);
      const early = endRateLease(settleRate(lent, limit, 1_999_000), limit, 3, lease);
      expect(early).toMatchObject({ debt: 1_000_000, lent: 0, lentBefore: 0 });
      const other = chargeRate(settleRate(lent, limit, 3_000_000), 5, 0);
      expect(endRateLease(other, limit, 4, lease)).toEqual(other);
    });

    it('comes back less what time has paid since, when it was for requests that waited', () => {
      const taken = chargeRate(newRateState(1_000_000), 3, 0);
      const lease = rateLease(taken, 0);
      expect(endRateLease(taken, limit, 3, lease).debt).toBe(0);
      // 20 ms pay for two of the three, and others have taken five since
      const busy = chargeRate(settleRate(taken, limit, 1_020_000), 5, 0);
      expect(busy.debt).toBe(6_000_000);
      expect(endRateLease(busy, limit, 3, lease).debt).toBe(5_000_000);
    });
  });
});
