import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { applySchema } from './apply-schema.js';

describe('docs/apply.schema.json', () => {
  it('is what the schemas of the documents say; npm run docs writes it', () => {
    expect(readFileSync(new URL('../../../../docs/apply.schema.json', import.meta.url), 'utf8')).toBe(applySchema());
  });
});
