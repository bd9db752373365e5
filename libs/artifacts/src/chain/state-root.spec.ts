import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { BUCKETS, bucketOf, StateRoot } from './state-root.js';

const entry = fc.record({
  table: fc.integer({ min: 1, max: 8 }),
  key: fc.uint8Array({ minLength: 1, maxLength: 20 }).map((array) => Buffer.from(array)),
  value: fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)),
});
const entries = fc.uniqueArray(entry, {
  maxLength: 40,
  selector: (item) => `${item.table} ${item.key.toString('hex')}`,
});

describe('state root', () => {
  it('R2 depends on what the state holds, not on the way that led there', () => {
    fc.assert(
      fc.property(entries, entries, (kept, gone) => {
        const straight = StateRoot.empty();
        for (const { table, key, value } of kept) straight.change(table, key, null, value);
        const detour = StateRoot.empty();
        for (const { table, key, value } of gone) detour.change(table, key, null, value);
        for (const { table, key, value } of [...kept].reverse())
          detour.change(table, key, null, Buffer.concat([value, Buffer.of(1)]));
        for (const { table, key, value } of gone) detour.change(table, key, value, null);
        for (const { table, key, value } of kept)
          detour.change(table, key, Buffer.concat([value, Buffer.of(1)]), value);
        expect(detour.root()).toEqual(straight.root());
      }),
    );
  });

  it('R2 differs as soon as one byte of a table, a key or a value does', () => {
    const rootOf = (table: number, key: string, value: string): string => {
      const state = StateRoot.empty();
      state.change(table, Buffer.from(key), null, Buffer.from(value));
      return state.root().toString('hex');
    };
    const roots = [
      rootOf(1, 'a', 'b'),
      rootOf(2, 'a', 'b'),
      rootOf(1, 'b', 'b'),
      rootOf(1, 'a', 'c'),
      rootOf(1, 'ab', ''),
      rootOf(1, 'a', ''),
    ];
    expect(new Set(roots).size).toBe(roots.length);
  });

  it('is put together again from the sums of its buckets', () => {
    fc.assert(
      fc.property(entries, (list) => {
        const state = StateRoot.empty();
        const changed = new Set(list.map(({ table, key, value }) => state.change(table, key, null, value)));
        const again = StateRoot.empty();
        for (const bucket of changed) again.load(bucket, state.sum(bucket));
        expect(again.root()).toEqual(state.root());
      }),
    );
  });

  it('spreads keys over all buckets', () => {
    const hit = new Set(Array.from({ length: 20_000 }, (_, i) => bucketOf(5, Buffer.from(`key ${i}`))));
    expect(hit.size).toBe(BUCKETS);
  });

  it('the root of nothing is one known value', () => {
    expect(StateRoot.empty().root().toString('hex')).toBe(
      'c35020473aed1b4642cd726cad727b63fff2824ad68cedd7ffb73c7cbd890479',
    );
  });
});
