import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { CliError } from '../exit.js';

const summary = z.object({ master: z.url({ protocol: /^https?$/ }), adminToken: z.string() });

/** What `npm start` tells in `local.json` while it runs. @param home its directory, HELIO_HOME */
export function readLocal(home: string): { server: string; token: string } {
  const path = join(home, 'local.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new CliError(`${path} cannot be read: ${(error as Error).message}`, { exit: 'usage', cause: error });
    throw new CliError(`${path} is not there: npm start does not run, or is not ready yet`, {
      exit: 'unreachable',
      next: 'Run `npm start`, and wait until it says that it is ready. With a HELIO_HOME of its own, say --home.',
    });
  }
  const { master, adminToken } = parsed(path, text);
  return { server: master.replace(/\/+$/, ''), token: adminToken };
}

function parsed(path: string, text: string): z.infer<typeof summary> {
  try {
    return summary.parse(JSON.parse(text));
  } catch (error) {
    throw new CliError(`${path} is not what npm start writes there`, {
      exit: 'unreachable',
      next: 'Wait until `npm start` says that it is ready, or start it again.',
      cause: error,
    });
  }
}
