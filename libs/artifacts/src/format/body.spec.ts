import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { encodeKeyRecord, type Op, TABLE } from '#model';
import { compareOps, decodeBody, encodeBody } from './body.js';
import { faultOf } from '../testing/refusals.js';
import { FormatError, LIMITS } from './limits.js';

const bytes = (max: number, min = 0): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((array) => Buffer.from(array));
const op: fc.Arbitrary<Op> = fc.record({
  table: fc.integer({ min: 1, max: 127 }),
  key: bytes(40, 1),
  value: fc.option(bytes(300)),
});
const ops = fc.uniqueArray(op, { maxLength: 50, selector: (item) => `${item.table} ${item.key.toString('hex')}` });

describe('body of a revision', () => {
  it('gives back what was put in, in the order of (table, key), whatever the order was', () => {
    fc.assert(
      fc.property(ops, (list) => {
        expect(decodeBody(encodeBody(list))).toEqual([...list].sort(compareOps));
        expect(encodeBody([...list].reverse())).toEqual(encodeBody(list));
      }),
    );
  });

  it('takes only bytes that the encoder would have written: any other that is accepted encodes to itself', () => {
    fc.assert(
      fc.property(ops, fc.nat(), fc.integer({ min: 0, max: 255 }), (list, at, value) => {
        const body = encodeBody(list);
        body[at % body.length] = value;
        try {
          expect(encodeBody(decodeBody(body))).toEqual(body);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('answers arbitrary bytes with a FormatError or a list, never with anything else', () => {
    fc.assert(
      fc.property(bytes(200), (body) => {
        expect(['none', 'malformed', 'truncated', 'too_large']).toContain(faultOf(() => decodeBody(body)));
      }),
      { numRuns: 5000 },
    );
  });

  it('tells truncated, trailing, unordered, doubled and over-long ones apart', () => {
    const body = encodeBody([{ table: 1, key: Buffer.from('a'), value: Buffer.from('x') }]);
    expect(faultOf(() => decodeBody(body.subarray(0, -1)))).toBe('truncated');
    expect(faultOf(() => decodeBody(Buffer.concat([body, Buffer.of(0)])))).toBe('malformed');
    const [first, second] = [Buffer.from('026101', 'hex'), Buffer.from('026101', 'hex')];
    expect(faultOf(() => decodeBody(Buffer.concat([Buffer.of(2), first, second])))).not.toBe('none');
    expect(faultOf(() => encodeBody([1, 2].map(() => ({ table: 1, key: Buffer.from('a'), value: null }))))).toBe(
      'malformed',
    );
    expect(faultOf(() => encodeBody([{ table: 0, key: Buffer.from('a'), value: null }]))).toBe('malformed');
    expect(faultOf(() => encodeBody([{ table: 1, key: Buffer.alloc(LIMITS.keyBytes + 1), value: null }]))).toBe(
      'too_large',
    );
    expect(faultOf(() => decodeBody(Buffer.from('ffffff7f', 'hex')))).toBe('too_large'); // a count that no body can hold
    expect(faultOf(() => decodeBody(Buffer.from('8000', 'hex')))).toBe('malformed'); // zero in two bytes
  });

  it('spends at most 64 bytes on a key', () => {
    const value = encodeKeyRecord({
      application: '7f0b2f4e-0d0c-4f1e-9a55-0f6b4b6f8a10',
      revoked: true,
      expiresAt: 4_000_000_000_000,
    });
    const one = encodeBody([{ table: TABLE.key, key: Buffer.alloc(16, 7), value }]).length - encodeBody([]).length;
    expect(one).toBeLessThanOrEqual(64);
  });
});
