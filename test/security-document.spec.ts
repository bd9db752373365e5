import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';

const DOCUMENT = join(import.meta.dirname, '../docs/security.md');

describe('docs/security.md', () => {
  it('names tests that there are, by what they are called', () => {
    const named = [...readFileSync(DOCUMENT, 'utf8').matchAll(/\["([^"]+)"\]\(([^)]+\.spec\.ts)\)/g)];
    const lost = named.filter(([, name = '', path = '']) => {
      const source = readFileSync(join(dirname(DOCUMENT), path), 'utf8');
      return !source.includes(name);
    });
    expect(lost.map(([, name]) => name)).toEqual([]);
    expect(named.length).toBeGreaterThan(30);
  });
});
