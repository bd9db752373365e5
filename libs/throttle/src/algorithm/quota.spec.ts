import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quotaWindow, settleQuota } from './quota.js';

const at = (text: string): number => Date.parse(text);

describe('the quota window', () => {
  it('is a day or a month of UTC, leap years and ends of years included', () => {
    const day = quotaWindow({ limit: 1, per: 'day' }, at('2028-02-29T23:59:59.999Z'));
    expect(day).toEqual({ start: at('2028-02-29T00:00:00Z'), end: at('2028-03-01T00:00:00Z') });
    const month = quotaWindow({ limit: 1, per: 'month' }, at('2028-02-29T12:00:00Z'));
    expect(month).toEqual({ start: at('2028-02-01T00:00:00Z'), end: at('2028-03-01T00:00:00Z') });
    const december = quotaWindow({ limit: 1, per: 'month' }, at('2026-12-31T23:59:59Z'));
    expect(december.end).toBe(at('2027-01-01T00:00:00Z'));
  });

  it('holds every moment in exactly one window, and windows follow each other without a gap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: at('2100-01-01T00:00:00Z') }),
        fc.constantFrom('day' as const, 'month' as const),
        (moment, per) => {
          const window = quotaWindow({ limit: 1, per }, moment);
          expect(window.start).toBeLessThanOrEqual(moment);
          expect(window.end).toBeGreaterThan(moment);
          expect(quotaWindow({ limit: 1, per }, window.end).start).toBe(window.end);
          expect(quotaWindow({ limit: 1, per }, window.end - 1)).toEqual(window);
        },
      ),
    );
  });

  it('begins to count anew with the next window, and not when the clock is set back', () => {
    const limit = { limit: 5, per: 'day' as const };
    const today = { start: at('2026-05-02T00:00:00Z'), used: 5 };
    expect(settleQuota(today, limit, at('2026-05-02T23:00:00Z'))).toBe(today);
    expect(settleQuota(today, limit, at('2026-05-01T23:00:00Z'))).toBe(today);
    expect(settleQuota(today, limit, at('2026-05-03T00:00:00Z'))).toEqual({
      start: at('2026-05-03T00:00:00Z'),
      used: 0,
    });
  });
});
