import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LockHeldError, takeProcessLock } from './process-lock.js';

function newPath(): string {
  const dir = mkdtempSync(join(tmpdir(), 'heliograph-lock-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  return join(dir, 'lock');
}

describe('takeProcessLock', () => {
  it('is held until it is given back, and names the holder', () => {
    const path = newPath();
    const lock = takeProcessLock(path);
    expect(lock.broken).toBe(false);
    expect(() => takeProcessLock(path)).toThrow(new LockHeldError(path, process.pid));
    lock.release();
    expect(takeProcessLock(path).broken).toBe(false);
    expect(readdirSync(dirname(path))).toEqual(['lock']);
  });

  it('breaks the lock of a process that has ended, and one that cannot be read', async () => {
    const path = newPath();
    const child = spawn('true');
    await once(child, 'exit');
    for (const text of [JSON.stringify({ pid: child.pid, began: '1' }), '', '{"pid":1}', 'x']) {
      writeFileSync(path, text);
      const lock = takeProcessLock(path);
      expect(lock.broken).toBe(true);
      lock.release();
    }
  });

  it.runIf(existsSync('/proc/self/stat'))('breaks the lock of a process whose number another one has by now', () => {
    const path = newPath();
    takeProcessLock(path);
    const holder = JSON.parse(readFileSync(path, 'utf8')) as { pid: number; began: string };
    writeFileSync(path, JSON.stringify({ ...holder, began: '1' }));
    expect(takeProcessLock(path).broken).toBe(true);
  });

  it('does not give back what somebody else has taken meanwhile', () => {
    const path = newPath();
    const lock = takeProcessLock(path);
    writeFileSync(path, JSON.stringify({ pid: process.ppid, began: '' }));
    lock.release();
    expect(existsSync(path)).toBe(true);
  });
});
