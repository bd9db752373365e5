import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KnownNames, parseImportLine } from './import-lines.js';
import { splitLines } from './line-splitter.js';

const application = fc.constantFrom(
  'crm',
  'CRM',
  ' crm',
  '',
  'a\u0000b',
  '7B1F1F6E-30A5-4F3C-8F4A-0D9A5A0A7C11',
  7,
  null,
);
const line = fc.record(
  {
    kind: fc.constantFrom('key', 'application', 'subscription', 'nothing'),
    id: application,
    application,
    environment: fc.constantFrom('prod', 'dev', 'Prod', '', 'null', 3),
    sha256: fc.constantFrom('ab'.repeat(32), 'AB'.repeat(32), 'ab', 'zz'.repeat(32), null),
    secret: fc.constantFrom('a-secret-of-another-gateway', 'short'),
    name: fc.constantFrom('ci', null, 5),
    expiresAt: fc.constantFrom('2030-01-01T00:00:00Z', 'soon'),
    ['__proto__']: fc.constant('x'),
  },
  { requiredKeys: ['kind', 'application', 'environment', 'sha256'] },
);
const bytesOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

describe('a line of an import', () => {
  it('is read the same whatever lines came before it', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), line, (before, last) => {
        const known = new KnownNames();
        for (const value of before) parseImportLine(bytesOf(value), known);
        expect(parseImportLine(bytesOf(last), known)).toEqual(parseImportLine(bytesOf(last), new KnownNames()));
      }),
      { numRuns: 2_000 },
    );
  });

  it('that is no object is refused, also after good ones', () => {
    const known = new KnownNames();
    const good = { kind: 'key', application: 'crm', environment: 'prod', sha256: 'ab'.repeat(32) };
    expect(parseImportLine(bytesOf(good), known).ok).toBe(true);
    for (const text of ['null', '[]', '["key","crm","prod","x"]', '7', '"key"', '{', ''])
      expect(parseImportLine(Buffer.from(text), known).ok, text).toBe(false);
  });
});

describe('lines', () => {
  it('are the same however their bytes arrive', async () => {
    const text = fc
      .array(fc.constantFrom('{"a":1}', '', ' ', '\t', 'x', 'é', 'y'.repeat(12), '\r'), { maxLength: 12 })
      .map((lines) => Buffer.from(lines.join('\n')));
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat(100), { maxLength: 8 }), async (bytes, cuts) => {
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        const expected = bytes
          .toString()
          .split('\n')
          .map((line, index) => ({ number: index + 1, line, tooLong: Buffer.byteLength(line) > 10 }))
          .filter(({ line, tooLong }) => tooLong || line.trim() !== '')
          .map(({ number, line, tooLong }) => `${number} ${tooLong ? 'too long' : line}`);
        const found: string[] = [];
        async function* source(): AsyncGenerator<Buffer> {
          yield* chunks;
        }
        for await (const lines of splitLines(source(), 10))
          for (const { number, bytes: read, tooLong } of lines)
            found.push(`${number} ${tooLong ? 'too long' : read.toString()}`);
        expect(found).toEqual(expected);
      }),
    );
  });
});
