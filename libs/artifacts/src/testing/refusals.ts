import { expect } from 'vitest';
import fc from 'fast-check';
import { FormatError } from '../format/limits.js';

/** The code that a decoder refuses with, or `none`. Anything else that it throws is thrown on. */
export function faultOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof FormatError) return error.code;
    throw error;
  }
  return 'none';
}

/**
 * Each byte changed, everything from it on missing, and one more than there should be.
 *
 * @param isTried for what is too long to try every byte of
 */
export function expectNoDamageTaken(
  bytes: Buffer,
  verdict: (bytes: Buffer) => string,
  isTried: (at: number) => boolean = () => true,
): void {
  for (let at = 0; at < bytes.length; at++) {
    if (!isTried(at)) continue;
    for (const bit of [1, 0x80]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ bit;
      expect(verdict(changed), `byte ${at}`).not.toBe('none');
    }
    expect(verdict(bytes.subarray(0, at)), `cut at ${at}`).not.toBe('none');
  }
  expect(verdict(Buffer.concat([bytes, Buffer.of(0)]))).toBe('truncated');
}

/** @param magic that half of them begin with */
export function expectNothingArbitraryTaken(magic: string, numRuns: number, verdict: (bytes: Buffer) => string): void {
  const property = fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (array, begins) => {
    const bytes = Buffer.from(array);
    if (begins) Buffer.from(magic).copy(bytes);
    expect(verdict(bytes)).not.toBe('none');
  });
  fc.assert(property, { numRuns });
}
