import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished, type TestContext } from 'vitest';

/** A file system of its own, that can be filled and made read-only; gone after the test. */
export function smallDisk(context: TestContext, size: string): string {
  const path = mkdtempSync(join(tmpdir(), 'heliograph-disk-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'heliograph-test', path], { stdio: 'pipe' });
  } catch (error) {
    context.skip(`no file system can be mounted here: ${String((error as Error).message)}`);
  }
  onTestFinished(() => void execFileSync('umount', [path]));
  return path;
}
