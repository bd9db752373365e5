import { describe, expect, it } from 'vitest';
import { RecordCache } from './record-cache.js';

describe('RecordCache', () => {
  it('G4 holds two generations at most, and of these what was used last', () => {
    const cache = new RecordCache<number>(10);
    for (let i = 0; i < 1000; i++) {
      cache.set(`k${i}`, i);
      cache.get('k0');
    }
    const held = Array.from({ length: 1000 }, (_, i) => cache.get(`k${i}`)).filter((value) => value !== undefined);
    expect(held.length).toBeLessThanOrEqual(20);
    expect(held[0]).toBe(0);
    expect(held.at(-1)).toBe(999);
  });

  it('knows what is absent from what was never asked for', () => {
    const cache = new RecordCache<number | null>(10);
    cache.set('gone', null);
    expect([cache.get('gone'), cache.get('new')]).toEqual([null, undefined]);
  });

  it('forgets what it is told to forget, in both generations', () => {
    const cache = new RecordCache<number>(2);
    for (const key of ['a', 'b', 'c']) cache.set(key, 1);
    for (const key of ['a', 'c']) cache.delete(key);
    expect(['a', 'b', 'c'].map((key) => cache.get(key))).toEqual([undefined, 1, undefined]);
    cache.clear();
    expect(cache.get('b')).toBeUndefined();
  });
});
