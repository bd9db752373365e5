import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeDirectory } from './make-directory.js';

let base: string;
beforeEach(() => (base = mkdtempSync(join(tmpdir(), 'heliograph-directory-'))));
afterEach(() => rmSync(base, { recursive: true }));

it('makes a directory and those above it, once', () => {
  const path = join(base, 'a', 'b');
  for (let n = 0; n < 2; n++) makeDirectory(path, 0o700);
  expect(statSync(path).mode & 0o777).toBe(0o700);
});

it.skipIf(!existsSync('/proc/self'))('comes to an end where no directory can be', () => {
  expect(() => makeDirectory('/proc/heliograph/state')).toThrow('ENOENT');
});
