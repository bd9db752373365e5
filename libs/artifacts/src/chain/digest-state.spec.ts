import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Op } from '#model';
import { DigestState } from './digest-state.js';
import { BUCKETS, StateRoot } from './state-root.js';

const op = fc.record({
  table: fc.integer({ min: 1, max: 3 }),
  key: fc.integer({ min: 0, max: 5 }).map((n) => Buffer.of(n)),
  value: fc.option(fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes))),
});
/** As in a revision: each entry once. */
const ops = fc.uniqueArray(op, { selector: ({ table, key }) => `${table} ${key[0]}` });

it('R2 has the root that the entries themselves give, after any changes', () => {
  fc.assert(
    fc.property(fc.array(ops), (revisions) => {
      const values = new Map<string, Buffer>();
      const root = StateRoot.empty();
      const state = new DigestState();
      for (const revision of revisions) {
        const promised = state.rootAfter(revision);
        state.apply(revision);
        for (const { table, key, value } of revision as Op[]) {
          const name = `${table} ${key[0]}`;
          root.change(table, key, values.get(name) ?? null, value);
          if (value) values.set(name, value);
          else values.delete(name);
        }
        expect(state.root()).toEqual(root.root());
        expect(promised).toEqual(root.root());
      }
      expect(state.size).toBe(values.size);
      for (let bucket = 0; bucket < BUCKETS; bucket += 1) expect(state.sum(bucket).equals(root.sum(bucket))).toBe(true);
    }),
    { numRuns: 50 },
  );
});
