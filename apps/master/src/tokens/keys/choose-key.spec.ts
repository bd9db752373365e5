import { describe, expect, it } from 'vitest';
import { chooseKey, type KeyTimes, leavingAt } from './choose-key.js';

const NOW = 1_000_000_000_000;
const HOUR = 3_600_000;
const key = (signsFrom: number, more: Partial<KeyTimes> = {}): KeyTimes => ({
  signsFrom: NOW + signsFrom,
  leavesAt: null,
  sealedBy: 'ours',
  ...more,
});
const choose = (...keys: KeyTimes[]): KeyTimes | null => chooseKey(keys, 'ours', NOW, 3600);

describe('the key to sign by', () => {
  it('is the newest whose time has come', () => {
    const [old, present, next] = [key(-2 * HOUR), key(0), key(1)];
    expect(choose(next, present, old)).toBe(present);
  });

  it('is not one that this master cannot open', () => {
    const [old, foreign] = [key(-HOUR), key(0, { sealedBy: 'theirs' })];
    expect(choose(old, foreign)).toBe(old);
    expect(choose(foreign)).toBeNull();
    expect(choose()).toBeNull();
  });

  it('stays on the chain as long as the token can be used', () => {
    const lasts = (seconds: number): KeyTimes => key(-HOUR, { leavesAt: NOW + seconds * 1000 });
    expect(choose(lasts(3600 + 120))).not.toBeNull();
    expect(choose(lasts(3600 + 119))).toBeNull();
  });

  it('is one that is only announced rather than none', () => {
    const [next, later] = [key(1), key(HOUR)];
    expect(choose(later, next, key(-HOUR, { leavesAt: NOW }))).toBe(next);
  });

  it('leaves when the longest token, signed a moment before its successor took over, has expired everywhere', () => {
    expect(leavingAt(NOW, 86_400) - NOW).toBe((86_400 + 120) * 1000);
    const leaving = key(-HOUR, { leavesAt: leavingAt(NOW, 86_400) });
    expect(chooseKey([leaving], 'ours', NOW, 86_400)).toBe(leaving);
    expect(chooseKey([leaving], 'ours', NOW + 1, 86_400)).toBeNull();
  });
});
