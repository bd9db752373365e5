import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ERRORS, fail } from './errors.js';
import { errorsDocument } from './errors-document.js';

describe('the table of error codes', () => {
  it('is what docs/errors.md says; `npm run docs` writes it', () => {
    expect(readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')).toBe(errorsDocument());
  });

  it('says of each code what causes it and what to do, in sentences', () => {
    for (const [code, entry] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(entry.status).toBeGreaterThanOrEqual(400);
      for (const text of [entry.cause, entry.action]) expect(text, code).toMatch(/^[A-Z].*\.$/);
    }
  });

  it('gives an error its status', () => {
    expect(fail('context_taken', 'x').status).toBe(409);
  });
});
