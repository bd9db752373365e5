import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, type TestContext } from 'vitest';
import { smallDisk } from './small-disk.js';

const isRoot = process.getuid?.() === 0;
const scratches: string[] = [];

afterAll(() => {
  for (const path of scratches) {
    execFileSync('chmod', ['-R', 'u+w', path]);
    rmSync(path, { recursive: true, force: true });
  }
});

/** An empty directory, gone after the file's tests. */
export function scratch(): string {
  const path = mkdtempSync(join(tmpdir(), 'heliograph-store-'));
  scratches.push(path);
  return path;
}

/** One that `makeReadOnly` works on: to root no mode of a directory means anything. */
export function lockable(context: TestContext): string {
  return isRoot ? smallDisk(context, '1m') : scratch();
}

export function makeReadOnly(path: string): void {
  if (isRoot) execFileSync('mount', ['-o', 'remount,ro', path]);
  else execFileSync('chmod', ['-R', 'a-w', path]);
}
