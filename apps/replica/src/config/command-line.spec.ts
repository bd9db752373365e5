import { expect, it } from 'vitest';
import { HELP } from './command-line.js';
import { settings } from './settings.js';

it('--help names every setting', () => {
  const named = new Set(HELP.match(/\b[A-Z][A-Z0-9_]+\b/g));
  expect(Object.keys(settings.shape).filter((name) => !named.has(name))).toEqual([]);
});
