import { spawn } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Account, accountFor } from './account.js';
import { type PostgresBinaries, postgresBinaries } from './binaries.js';
import { stopLeftovers } from './cluster-processes.js';

export const SUPERUSER = 'helio';

/** A database cluster on disk that no process uses. */
export interface Cluster {
  data: string;
  /** unlike that of any other cluster on this machine; all its processes bear it */
  name: string;
  password: string;
  account: Account;
  binaries: PostgresBinaries;
}

/**
 * The cluster in `dir`, made where there is none: `data/` and, beside it, `password`. Processes that an earlier start
 * left behind are ended.
 *
 * @throws Error
 */
export async function openCluster(dir: string, binaries = postgresBinaries()): Promise<Cluster> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const root = realpathSync(dir);
  const account = accountFor(root, binaries.postgres);
  const name = nameOf(root);
  await stopLeftovers(name);
  const data = join(root, 'data');
  const password = existsSync(data) ? readPassword(root) : await createCluster(root, account, binaries);
  // Nobody runs on this data. PostgreSQL would not believe it where the number in the file has meanwhile been given
  // to another process of the same user, as happens when a container starts again.
  rmSync(join(data, 'postmaster.pid'), { force: true });
  return { data, name, password, account, binaries };
}

/** Ends what an earlier start left running on `dir`, so that it can be removed. */
export async function stopCluster(dir: string): Promise<void> {
  if (existsSync(dir)) await stopLeftovers(nameOf(realpathSync(dir)));
}

function nameOf(root: string): string {
  return `heliograph-${hash('sha256', root).slice(0, 12)}`;
}

function readPassword(root: string): string {
  try {
    return readFileSync(join(root, 'password'), 'utf8').trim();
  } catch (error) {
    throw new Error(`the password of the database in ${root} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Half of a cluster is never seen under its name: it is made under another one. */
async function createCluster(root: string, account: Account, { initdb }: PostgresBinaries): Promise<string> {
  for (const entry of readdirSync(root)) {
    if (entry.startsWith('initdb-')) rmSync(join(root, entry), { recursive: true, maxRetries: 10 });
  }
  const password = randomBytes(24).toString('base64url');
  const passwordFile = join(root, 'password');
  const { uid, gid } = statSync(root);
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  chownSync(passwordFile, uid, gid); // initdb reads it
  const draft = join(root, `initdb-${randomBytes(4).toString('hex')}`);
  const { file, args, options } = account.command(initdb, [
    `--pgdata=${draft}`,
    `--username=${SUPERUSER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C', // the same order of texts on every machine
    '--no-sync', // nothing worth it is in there yet
    '--no-instructions',
  ]);
  // in a process group of its own, so that a Ctrl-C at the terminal is ours to answer
  const child = spawn(file, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (code !== 0)
    throw new Error(`initdb failed (${signal ?? `exit code ${code}`}):\n${(await output).join('').trim()}`);
  renameSync(draft, join(root, 'data'));
  return password;
}
