import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { hasCode, unless } from './directory-files.js';
import { directoryOf } from './open-store.js';

/** A mount that hangs must not hold up a start: then nothing is certain. */
const PATIENCE_MS = 500;

/**
 * What is wrong with a `file:` store for good, so that its user should not start with it: no waiting mends it. Null where there is
 * nothing, and where time may help: a directory that is missing, a mount that is away, one that does not answer.
 *
 * @param url one that `openStore` takes; of another scheme nothing is said
 * @param use who only reads goes on without the store, whoever may read it: only what can never be a directory is told then
 */
export async function directoryFault(url: string, use: 'read' | 'write'): Promise<string | null> {
  if (!url.startsWith('file:')) return null;
  const found = faultOf(directoryOf(new URL(url)), use);
  return Promise.race([found, after(PATIENCE_MS, null, { ref: false })]);
}

async function faultOf(path: string, use: 'read' | 'write'): Promise<string | null> {
  try {
    let at = path;
    let stats = await unless(stat(at), 'ENOENT', 'ENOTDIR');
    while (!stats && at !== dirname(at)) {
      at = dirname(at);
      stats = await unless(stat(at), 'ENOENT', 'ENOTDIR');
    }
    if (!stats) return null;
    if (!stats.isDirectory()) return `${at} is not a directory`;
    // an empty directory may be what a mount comes over, with other rights
    if (use === 'read' || (await readdir(at)).length === 0) return null;
    return await access(at, constants.W_OK | constants.X_OK).then(
      () => null,
      (error: unknown) => denied(error, at, path),
    );
  } catch {
    return null; // whoever uses it tells, and tries again
  }
}

function denied(error: unknown, at: string, path: string): string | null {
  const what = at === path ? 'written to' : `written to, and there is no ${path} yet`;
  if (hasCode(error, 'EROFS')) return `${at} cannot be ${what}: it is on a read-only file system`;
  if (hasCode(error, 'EACCES', 'EPERM')) return `${at} cannot be ${what}: the user of this process may not`;
  return null;
}
