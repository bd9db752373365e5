import fc from 'fast-check';
import { TAIL } from '#model';
import { describe, expect, it } from 'vitest';
import { countOf, piecesOf, tailTalk } from './tail-talk.js';

const tail = '7c9e6679-7425-40de-944b-e07fc1f90ae7';

describe('what masters say to each other of requests', () => {
  it('fits into payloads of PostgreSQL, in order, and nothing is lost without being counted', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', '"', '\\', 'é', '\u0001'),
      maxLength: TAIL.lineChars,
      size: 'max',
    });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20, size: 'max' }), fc.nat(1000), (lines, dropped) => {
        const pieces = piecesOf({ tail, lines, dropped });
        for (const piece of pieces) {
          const payload = JSON.stringify({ replica: 'r'.repeat(64), told: 1e9, lines: piece });
          expect(Buffer.byteLength(payload)).toBeLessThan(8_000);
          expect(tailTalk.safeParse(JSON.parse(payload)).success).toBe(true);
        }
        const told = pieces.flatMap((piece) => piece.lines);
        expect(told).toEqual(lines.filter((line) => told.includes(line)));
        expect(pieces.reduce((sum, piece) => sum + countOf(piece), 0)).toBe(lines.length + dropped);
      }),
      { numRuns: 50 },
    );
  });

  it('is said where nothing has come, too: the replica is there', () => {
    expect(piecesOf({ tail, lines: [], dropped: 0 })).toHaveLength(1);
  });
});
