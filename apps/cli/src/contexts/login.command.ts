import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { chooseTarget } from './choose-target.js';
import { checked, contextsPath, readContexts, writeContexts } from './contexts-file.js';
import { readLocal } from './local-system.js';

interface Options {
  name?: string;
  tokenFile?: string;
  local?: boolean;
  home: string;
}

export const define: Define = (command, cli) => {
  command
    .description(
      'Keeps a master and an access token as a context, and uses it from now on. The token is taken from --token-file, from standard input where that is no terminal, from HELIO_TOKEN, or is asked for. It is tried before it is kept.',
    )
    .argument('[url]', 'of the master, like https://master.example.com')
    .option('--name <context>', 'what to call it; default: the host of the master, or local')
    .option('--token-file <file>', 'a file that holds the token; - is standard input')
    .option('--local', 'the system of `npm start` on this machine, whose token is looked up each time')
    .option('--home <directory>', 'where `npm start` keeps it, its HELIO_HOME', '.heliograph')
    .action(async (url: string | undefined, options: Options) => {
      if (options.local) return logInLocally(cli, url, options);
      if (url === undefined) throw new CliError('say which master: helio login URL', { exit: 'usage' });
      const server = chooseTarget({ ...cli.env, token: 'none' }, { server: url }).server;
      const name = options.name ?? new URL(server).host.replace(/[^A-Za-z0-9.-]+/g, '-');
      checked({ name, server });
      if (server.startsWith('http:') && !isLoopback(server))
        cli.note(`helio: ${server} is not encrypted: whoever is on the way can read the token`);
      const token = await readToken(cli, server, options);
      await tryOut(server, token);
      keep(cli, name, { server, token });
      cli.out(`Logged in to ${server} as context ${name}.`);
    });
};

async function logInLocally(cli: Cli, url: string | undefined, { name = 'local', home }: Options): Promise<void> {
  if (url !== undefined) throw new CliError('--local says which master: leave the URL out', { exit: 'usage' });
  const local = resolve(home);
  const { server, token } = readLocal(local);
  checked({ name, server });
  await tryOut(server, token);
  keep(cli, name, { local });
  cli.out(`Logged in to ${server} as context ${name}.`);
}

/** Never an argument of the command line: those can be read by everybody on the machine, and stay in the history. */
async function readToken(cli: Cli, server: string, { tokenFile }: Options): Promise<string> {
  const token = (await tokenFrom(cli, server, tokenFile)).trim();
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new CliError(token === '' ? 'the token is empty' : 'that is no token: it has spaces or other characters', {
      exit: 'usage',
      next: 'Give it by --token-file, on standard input or as HELIO_TOKEN.',
    });
  return token;
}

async function tokenFrom(cli: Cli, server: string, file: string | undefined): Promise<string> {
  const { stdin } = cli.streams;
  if (file !== undefined && file !== '-') {
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      throw new CliError(`--token-file: ${(error as Error).message}`, { exit: 'usage', cause: error });
    }
  }
  if (file === '-') return text(stdin);
  if (cli.env.token !== undefined) return cli.env.token;
  if (!stdin.isTTY) return text(stdin);
  return cli.secret(`Access token for ${server}`, 'Give it by --token-file, on standard input or as HELIO_TOKEN.');
}

/** Whether the master takes it, before an older one is replaced. */
async function tryOut(server: string, token: string): Promise<void> {
  const { MasterApi } = await import('../api/master-api.js');
  const api = new MasterApi({ server, token, from: 'helio login' });
  await api.http.GET('/v1/environments', { params: { query: { limit: 1 } } });
}

function keep(cli: Cli, name: string, context: { server: string; token: string } | { local: string }): void {
  const { contexts } = readContexts(cli.env.configDir);
  writeContexts(cli.env.configDir, { current: name, contexts: { ...contexts, [name]: context } });
  cli.note(`It is kept in ${contextsPath(cli.env.configDir)}, for your eyes only.`);
}

function isLoopback(server: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(server).hostname);
}
