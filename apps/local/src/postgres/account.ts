import { spawnSync } from 'node:child_process';
import { chownSync, readFileSync, statSync } from 'node:fs';

/** A user and a group of this machine. */
interface Owner {
  uid: number;
  gid: number;
}

/** How a program is started so that it runs as the account of the server. */
export interface Account {
  /** what to hand to `spawn`, with the environment that the server's programs get */
  command(
    file: string,
    args: string[],
  ): { file: string; args: string[]; options: { env: NodeJS.ProcessEnv } & Partial<Owner> };
}

const NOBODY: Owner = { uid: 65534, gid: 65534 };

/**
 * Nothing of ours: PGDATA, PGPORT and their like would change what the server does, and LC_ALL of a locale that is not
 * installed keeps it from starting.
 */
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' };

/**
 * PostgreSQL refuses to run as root, and root is what containers and build machines give us. Then it runs as the
 * account that has `dir` already, else as `postgres`, else as `nobody`; no account is made.
 *
 * @param dir an existing directory that will hold the data; as root it is given to the account
 * @throws Error with what to do when that account cannot get at `dir` or at the program
 */
export function accountFor(dir: string, postgres: string): Account {
  const owner = statSync(dir);
  const self = process.getuid?.();
  if (self !== 0) {
    if (owner.uid === self) return own;
    throw new Error(
      `${dir} belongs to uid ${owner.uid}, and this is uid ${self}: start as that user or as root, or set HELIO_HOME`,
    );
  }
  if (process.platform !== 'linux') throw new Error('PostgreSQL does not run as root: start as an ordinary user');
  const account = owner.uid === 0 ? (passwdEntry('postgres') ?? NOBODY) : { uid: owner.uid, gid: owner.gid };
  try {
    chownSync(dir, account.uid, account.gid);
  } catch (error) {
    const problem = `${dir} cannot be given to uid ${account.uid}: ${(error as Error).message}`;
    throw new Error(`PostgreSQL does not run as root, and ${problem}. Start as an ordinary user.`, { cause: error });
  }
  const refusals: string[] = [];
  for (const candidate of [switched(account), privileged(account)]) {
    const refusal = tryOut(candidate, dir, postgres);
    if (refusal === undefined) return candidate;
    refusals.push(refusal);
  }
  throw new Error(
    [
      `PostgreSQL does not run as root, and uid ${account.uid} can use ${postgres} and ${dir} neither`,
      `  as it is: ${refusals[0]}`,
      `  nor with setpriv and the capability dac_override: ${refusals[1]}`,
      'Start as an ordinary user, or put the checkout and HELIO_HOME below directories that every user may enter.',
    ].join('\n'),
  );
}

const own: Account = { command: (file, args) => ({ file, args, options: { env: ENVIRONMENT } }) };

function switched({ uid, gid }: Owner): Account {
  return { command: (file, args) => ({ file, args, options: { env: ENVIRONMENT, uid, gid } }) };
}

/**
 * For a checkout below a directory that only root may enter, such as /root. PostgreSQL looks at its user ids, not at
 * its capabilities. `no_setuid_fixup` is for its access(2) calls: without it they leave capabilities out of account.
 */
function privileged({ uid, gid }: Owner): Account {
  const rights = ['--securebits=+no_setuid_fixup', '--inh-caps=+dac_override', '--ambient-caps=+dac_override'];
  const prefix = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...rights, '--'];
  return {
    command: (file, args) => ({ file: 'setpriv', args: [...prefix, file, ...args], options: { env: ENVIRONMENT } }),
  };
}

/** What stands in the way, or undefined. Tried and not computed from modes: those say nothing of ACLs and mounts. */
function tryOut(account: Account, dir: string, postgres: string): string | undefined {
  const { file, args, options } = account.command('sh', [
    '-c',
    'cd -- "$1" && exec "$2" --version',
    'sh',
    dir,
    postgres,
  ]);
  const { status, stderr, error } = spawnSync(file, args, { ...options, encoding: 'utf8', timeout: 10_000 });
  // --version succeeds, with a complaint, where the server would not find its own files
  if (status === 0 && stderr === '') return undefined;
  return error?.message ?? (stderr.trim().split('\n')[0] || `exit code ${status}`);
}

function passwdEntry(name: string): Owner | undefined {
  let lines: string[];
  try {
    lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  } catch {
    return undefined; // minimal containers have none
  }
  const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
  return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined;
}
