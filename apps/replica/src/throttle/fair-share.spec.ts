import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Bucket } from '#throttle';
import { partOf, partOfLimit, shareOf } from './fair-share.js';

const regions = fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 64 }), {
  minKeys: 1,
  maxKeys: 12,
});

describe('the fair share', () => {
  it('T1 the parts of all nodes come to the limit exactly', () => {
    fc.assert(
      fc.property(regions, fc.integer({ min: 0, max: 3_600_000_000_000 }), fc.string(), (workers, total, name) => {
        const nodes = new Map(Object.entries(workers));
        const parts = [...nodes].map(([node, own]) => partOf(total, name, shareOf(nodes, node, own)));
        expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total);
        for (const part of parts) expect(part).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('goes by the workers of each node', () => {
    const nodes = new Map([
      ['a', 1],
      ['b', 3],
    ]);
    expect(partOf(400, 's', shareOf(nodes, 'b', 3))).toBe(300);
  });

  it('lets limits of one fall to different nodes', () => {
    const nodes = new Map(['a', 'b', 'c', 'd'].map((name) => [name, 1]));
    const count = Array.from({ length: 400 }, (_, i) => partOf(1, `s:${i}`, shareOf(nodes, 'a', 1)));
    const own = count.filter((part) => part === 1).length;
    expect(own).toBeGreaterThan(50);
    expect(own).toBeLessThan(150);
  });

  it('counts a node that is not known there yet', () => {
    expect(shareOf(new Map([['a', 4]]), 'b', 2)).toEqual({ before: 4, own: 2, all: 6 });
    expect(shareOf(new Map(), 'b', 2)).toEqual({ before: 0, own: 2, all: 2 });
  });

  it('is the limit itself for a node that is alone, and null where nothing falls to it', () => {
    const one: Bucket = { kind: 'rate', name: 's', limit: { limit: 1, per: 'second', burst: 1 } };
    expect(partOfLimit(one, { before: 0, own: 2, all: 2 })).toBe(one);
    const parts = [0, 1].map((before) => partOfLimit(one, { before, own: 1, all: 2 }));
    expect(parts.filter((part) => part !== null)).toHaveLength(1);
    expect(partOfLimit({ ...one, limit: { limit: 10, per: 'second' } }, { before: 0, own: 1, all: 2 })?.limit).toEqual({
      limit: 18_000,
      per: 'hour',
      burst: 5,
    });
  });
});
