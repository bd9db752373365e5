import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '#platform';
import { hasCode, unless, writeDurably } from './directory-files.js';

const POLL_MS = 10;

/** Locks are named apart from what is swept when it is old: a lock is never swept, only broken. */
export const LOCK_PREFIX = 'lock-';

/**
 * The right to replace one object, between processes and machines, made of rename(2), unlink(2) and rmdir(2):
 *
 * ```
 * .tmp/<mine>/<mine>/next               stage     the new bytes, synced
 *      │  rename .tmp/<mine> -> .tmp/lock-<object>
 * .tmp/lock-<object>/<mine>/next        acquire   fails while another one's folder is in there; empty is free
 *      │  rename next -> the object
 * .tmp/lock-<object>/<mine>             commit
 *      │  unlink next (if not committed), rmdir <mine>, rmdir lock-<object>
 *                                       release
 * ```
 * A lock is broken by the steps that release it, each on a path that names the holder: breaking a dead one's lock cannot
 * hit the next holder's. And the bytes lie in the lock, so that a holder who was stopped, not dead, finds nothing to
 * commit when it wakes up. (With a lock file that is deleted once it is old, both go wrong; Node has no flock(2).)
 */
export class DirectoryLock {
  readonly #token = randomUUID();
  readonly #lock: string;
  readonly #staged: string;

  private constructor(tmp: string, object: string) {
    this.#lock = join(tmp, LOCK_PREFIX + createHash('sha256').update(object).digest('hex'));
    this.#staged = join(tmp, this.#token);
  }

  /** Lays out `bytes` in the existing folder `tmp`, on the file system of the object. Call `release` in any case. */
  static async stage(tmp: string, object: string, bytes: Buffer): Promise<DirectoryLock> {
    const lock = new DirectoryLock(tmp, object);
    const inner = join(lock.#staged, lock.#token);
    try {
      await mkdir(lock.#staged);
      await mkdir(inner);
      await writeDurably(join(inner, 'next'), bytes);
      return lock;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /**
   * Waits for the holder before it. One that is seen for `patienceMs` is taken for dead, and its lock is broken; to be
   * wrong about that costs it a repetition and nothing else.
   */
  async acquire(signal: AbortSignal, patienceMs: number): Promise<void> {
    let seen: string | undefined;
    let looks = 0;
    for (;;) {
      signal.throwIfAborted();
      try {
        return await rename(this.#staged, this.#lock);
      } catch (error) {
        if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      }
      const [holder] = (await unless(readdir(this.#lock), 'ENOENT')) ?? [];
      if (holder === undefined) continue;
      if (holder !== seen) [seen, looks] = [holder, 0];
      // counted and not timed: a holder that stood still together with this process is not dead
      else if (++looks * POLL_MS > patienceMs) await this.#free(holder);
      await sleep(POLL_MS, signal);
    }
  }

  /** Makes the staged bytes the object. False: this lock was broken in the meantime, and nothing has happened. */
  async commit(target: string): Promise<boolean> {
    try {
      await rename(join(this.#lock, this.#token, 'next'), target);
      return true;
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
      // ENOENT is also said when the object's own folder is gone.
      const held = await unless(stat(join(this.#lock, this.#token, 'next')), 'ENOENT');
      if (held !== undefined) throw error;
      return false;
    }
  }

  /** Never fails, the outcome being decided: what it cannot remove is broken as stale, or swept when it is old. */
  async release(): Promise<void> {
    try {
      await this.#free(this.#token);
      await rm(this.#staged, { recursive: true, force: true });
    } catch {}
  }

  async #free(holder: string): Promise<void> {
    const folder = join(this.#lock, holder);
    await unless(unlink(join(folder, 'next')), 'ENOENT');
    await unless(rmdir(folder), 'ENOENT');
    await unless(rmdir(this.#lock), 'ENOENT', 'ENOTEMPTY', 'EEXIST');
  }
}
