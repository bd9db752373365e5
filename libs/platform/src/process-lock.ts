import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** The lock is held by a process that lives. */
export class LockHeldError extends Error {
  constructor(
    path: string,
    readonly pid: number,
  ) {
    super(`${path} is held by process ${pid}`);
    this.name = 'LockHeldError';
  }
}

export interface ProcessLock {
  /** whether it was taken from a process that had not got to giving it back */
  broken: boolean;
  release: () => void;
}

/** A number alone is used again, in containers nearly at once; with the moment the process began it is one process. */
interface Holder {
  pid: number;
  began: string;
}

/**
 * Takes a lock for this process: a file that says who has it. The lock of a process that is gone is broken. Processes
 * that cannot see each other (two containers, one volume) both get it.
 *
 * @throws LockHeldError
 */
export function takeProcessLock(path: string): ProcessLock {
  const mine = JSON.stringify({ pid: process.pid, began: beganAt(process.pid) } satisfies Holder);
  const staged = `${path}.${randomUUID()}`;
  try {
    // Linked when it is whole: a lock that can be read says who has it.
    writeFileSync(staged, mine, { mode: 0o600 });
    let broken = false;
    while (!tryLink(staged, path)) broken = breakStale(path) || broken;
    return { broken, release: () => release(path, mine) };
  } finally {
    rmSync(staged, { force: true });
  }
}

function release(path: string, mine: string): void {
  if (read(path) === mine) rmSync(path, { force: true });
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

/** False when it went away by itself. */
function breakStale(path: string): boolean {
  const text = read(path);
  if (text === undefined) return false;
  const holder = parse(text);
  if (holder && isAlive(holder)) throw new LockHeldError(path, holder.pid);
  // Two may break it at the same time: whoever moved away something else than the lock it saw puts that back.
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
  if (read(aside) !== text) tryLink(aside, path);
  rmSync(aside);
  return true;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Undefined for what we did not write, or what a power failure cut short: nobody can be running on it. */
function parse(text: string): Holder | undefined {
  try {
    const { pid, began } = JSON.parse(text) as Partial<Holder>;
    return Number.isSafeInteger(pid) && typeof began === 'string' ? { pid: pid as number, began } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (hasCode(error, 'ESRCH')) return false;
  }
  return holder.began === beganAt(holder.pid);
}

/** When a process began, by the kernel's clock (Linux: field 22 of its stat); empty where the system does not say. */
function beganAt(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // the name, in parentheses, may hold anything
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // killed, and its parent has not asked for it yet: it holds nothing any more
    return fields[0] === 'Z' ? 'ended' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
