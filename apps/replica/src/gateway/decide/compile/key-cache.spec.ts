import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KeyRecord } from '#model';
import { KeyCache } from './key-cache.js';

const record = (application: string): KeyRecord => ({ application, revoked: false, expiresAt: null });
/** 16 bytes, of which `first` says the set, in a cache of no more than 256 */
const idOf = (first: number, rest: string): string => String.fromCharCode(first) + rest.padEnd(15, '\0');

describe('the cache of keys', () => {
  it('never gives the record of another key, or one that was deleted or replaced', () => {
    // few different ids, which differ in one of their bytes each, so that they meet in the same places
    const id = fc
      .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 5 }))
      .map(([at, byte]) =>
        Array.from({ length: 16 }, (_, i) => String.fromCharCode(i === at ? 250 + byte : 0)).join(''),
      );
    const step = fc.oneof(
      fc.record({ kind: fc.constant('set' as const), id, value: fc.option(fc.string().map(record)) }),
      fc.record({ kind: fc.constantFrom('get' as const, 'delete' as const), id }),
      fc.record({ kind: fc.constantFrom('clear' as const), id }),
    );
    let hits = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        const cache = new KeyCache<KeyRecord>(2);
        const truth = new Map<string, KeyRecord | null>();
        for (const one of steps) {
          if (one.kind === 'set') {
            cache.set(one.id, one.value);
            truth.set(one.id, one.value);
          } else if (one.kind === 'delete') {
            cache.delete(one.id);
            truth.delete(one.id);
          } else if (one.kind === 'clear') {
            cache.clear();
            truth.clear();
          }
          if (one.kind !== 'get') expect(cache.get(one.id)).toBe(truth.get(one.id));
          for (const [other, value] of truth) {
            const found = cache.get(other);
            if (found === undefined) continue;
            expect(found).toBe(value);
            hits += 1;
          }
        }
      }),
    );
    expect(hits).toBeGreaterThan(500);
  });

  it('keeps four keys of a set, and gives the place of the first one to the fifth', () => {
    const cache = new KeyCache<KeyRecord>(256);
    const ids = ['a', 'b', 'c', 'd', 'e'].map((rest) => idOf(7, rest));
    for (const id of ids) cache.set(id, record(id));
    cache.set(idOf(8, 'a'), null);
    expect(ids.map((id) => cache.get(id)?.application)).toEqual([undefined, ...ids.slice(1)]);
    expect(cache.get(idOf(8, 'a'))).toBeNull();
  });

  it('does not look at what follows the sixteen bytes of an id', () => {
    const cache = new KeyCache<KeyRecord>(4);
    cache.set(`${idOf(1, 'x')}the rest of a hash`, record('one'));
    cache.delete(idOf(1, 'x'));
    expect(cache.get(`${idOf(1, 'x')}another rest`)).toBeUndefined();
  });
});
