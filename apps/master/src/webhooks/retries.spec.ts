import { describe, expect, it } from 'vitest';
import { nextAttemptMs, pauseMs } from './retries.js';

describe('the attempts for one event', () => {
  it('are eight, over about a day and a third, each a little away from its time', () => {
    const all = (random: number) =>
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((attempts) => nextAttemptMs(attempts, () => random));
    expect(all(0.5)).toEqual([5e3, 3e5, 18e5, 72e5, 18e6, 36e6, 504e5, null, null]);
    const sum = all(0.5).reduce<number>((total, each) => total + (each ?? 0), 0);
    expect(sum / 3_600_000).toBeCloseTo(31.6, 1);
    expect([nextAttemptMs(1, () => 0), nextAttemptMs(1, () => 1)]).toEqual([4500, 5500]);
  });
});

describe('the pause of an endpoint that fails', () => {
  it('grows to a minute at the most, and is longer only when it asks for it, up to an hour', () => {
    const never = [1, 2, 5, 7, 100].map((failures) => pauseMs(failures, null, () => 1));
    expect(never).toEqual([1000, 2000, 16_000, 60_000, 60_000]);
    expect(pauseMs(1, 30, () => 1)).toBe(30_000);
    expect(pauseMs(100, 30, () => 1)).toBe(60_000);
    expect(pauseMs(1, 999_999, () => 1)).toBe(3_600_000);
  });
});
