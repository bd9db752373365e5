import { describe, expect, it } from 'vitest';
import { deltaName, headName, releaseName } from './names.js';

describe('names of objects', () => {
  it('are computed from what they hold', () => {
    expect(headName('prod')).toBe('prod/head.json');
    expect(deltaName('prod', 1)).toBe('prod/delta/000000000001');
    expect(deltaName('prod', 999_999_999_999)).toBe('prod/delta/999999999999');
    expect(releaseName('prod', 'weather', 'v1.2', 'ab12')).toBe('prod/release/weather/v1.2/ab12.json');
  });

  it('list revisions in their order', () => {
    const revisions = [1, 2, 9, 10, 99, 100, 1_000_000];
    const names = revisions.map((revision) => deltaName('prod', revision));
    expect([...names].sort()).toEqual(names);
  });

  it('are refused for parts that would lead elsewhere', () => {
    const badName = expect.objectContaining({ code: 'store_bad_name' });
    for (const revision of [0, -1, 1.5, Number.NaN, 1e12, 2 ** 60])
      expect(() => deltaName('prod', revision)).toThrow(badName);
    for (const part of ['', '..', '.', 'A', 'a b', '/a']) {
      expect(() => headName(part)).toThrow(badName);
      expect(() => releaseName('prod', part, 'v1', 'ab')).toThrow(badName);
      expect(() => releaseName('prod', 'weather', part, 'ab')).toThrow(badName);
    }
    expect(() => headName('x'.repeat(600))).toThrow(badName);
  });
});
