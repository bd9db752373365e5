import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { Op } from '#model';
import { opsOf } from '../chain/revision.js';
import { newSigningKeyPem, signerFromPem, TrustedKeys } from '../chain/signing.js';
import { StateRoot } from '../chain/state-root.js';
import { LIMITS } from '../format/limits.js';
import { ChainMaker, entryNameOf } from '../testing/chain-maker.js';
import { expectNoDamageTaken, expectNothingArbitraryTaken, faultOf } from '../testing/refusals.js';
import { MAX_SEGMENT_BODY, type SegmentPlace, sealSegment, segmentRange, verifySegment } from './segment.js';

const signer = signerFromPem(newSigningKeyPem());
const trusted = new TrustedKeys([signer.publicKey]);
const place: SegmentPlace = {
  environment: 'prod',
  level: 2,
  index: 3,
  epoch: 4,
  hash: Buffer.alloc(32, 1),
  root: Buffer.alloc(32, 2),
  issuedAt: 1_760_000_000_000,
};
const ops: Op[] = [
  { table: 3, key: Buffer.from('gold'), value: Buffer.from('{}') },
  { table: 5, key: Buffer.alloc(16, 7), value: null },
];

const verdict = (bytes: Buffer, environment = 'prod', keys = trusted): string =>
  faultOf(() => verifySegment(bytes, environment, keys));

describe('a segment', () => {
  it('is verified, and gives back its ops, tombstones too, and which revisions it covers', () => {
    const verified = verifySegment(sealSegment(place, [...ops].reverse(), signer), 'prod', trusted);
    expect(opsOf(verified)).toEqual(ops);
    expect(verified.header).toEqual({ ...place, first: 3 * 4096 + 1, last: 4 * 4096, keyId: signer.keyId });
    expect([segmentRange(1, 0), segmentRange(1, 1), segmentRange(3, 0)]).toEqual([
      { first: 1, last: 64 },
      { first: 65, last: 128 },
      { first: 1, last: 262_144 },
    ]);
  });

  it('has the same bytes each time it is made', () => {
    expect(sealSegment(place, ops, signer)).toEqual(sealSegment(place, [...ops].reverse(), signer));
  });

  it('R4 is refused with any byte changed, and with any byte missing or added', () => {
    expectNoDamageTaken(sealSegment(place, ops, signer), (bytes) => verdict(bytes));
  });

  it('R4 is refused of another environment and from another signer', () => {
    expect(verdict(sealSegment(place, ops, signer), 'dev')).toBe('wrong_environment');
    expect(verdict(sealSegment(place, ops, signerFromPem(newSigningKeyPem())))).toBe('untrusted_key');
  });

  it('R4 arbitrary bytes are refused with a reason, and nothing else is thrown', () => {
    expectNothingArbitraryTaken('HGS1', 2000, (bytes) => verdict(bytes));
  });

  it('is not made where a reader would not take it', () => {
    const value = Buffer.alloc(LIMITS.valueBytes - 1000);
    expect(value.length).toBeLessThan(MAX_SEGMENT_BODY);
    const large = [1, 2].map((n) => ({ table: 1, key: Buffer.from([n]), value }));
    expect(() => sealSegment(place, large, signer)).toThrow(expect.objectContaining({ code: 'too_large' }));
  });
});

describe('compaction', () => {
  const op = fc.record({
    table: fc.constantFrom(3, 5),
    key: fc.integer({ min: 0, max: 12 }).map((n) => Buffer.from(`k${n}`)),
    value: fc.option(fc.integer({ min: 0, max: 4 }).map((n) => Buffer.from(`v${n}`))),
  });
  const revision = fc.uniqueArray(op, { maxLength: 4, selector: ({ table, key }) => entryNameOf(table, key) });

  /** What a replica keeps. */
  class State {
    readonly values = new Map<string, Buffer>();
    readonly root = StateRoot.empty();

    apply(changes: readonly Op[]): void {
      for (const { table, key, value } of changes) {
        const name = entryNameOf(table, key);
        this.root.change(table, key, this.values.get(name) ?? null, value);
        if (value) this.values.set(name, value);
        else this.values.delete(name);
      }
    }
  }

  it('R2 gives the state at its last revision from any revision of its range on, whatever was applied before', () => {
    fc.assert(
      fc.property(
        fc.array(revision, { minLength: 128, maxLength: 128 }),
        fc.integer({ min: 0, max: 64 }),
        (revisions, middle) => {
          const maker = new ChainMaker('prod', 1, signer);
          for (const changes of revisions) maker.seal(changes, 1);
          const state = new State();
          const start = 64 + middle;
          for (const changes of revisions.slice(0, start)) state.apply(changes);
          const segment = verifySegment(maker.segment(1, 1), 'prod', trusted);
          state.apply(opsOf(segment));
          expect(state.root.root()).toEqual(segment.header.root);
          expect(new Map(state.values)).toEqual(new Map(maker.entries));
          expect(segment.header.hash).toEqual(maker.position.hash);
        },
      ),
      { numRuns: 40 },
    );
  });
});
