import type { Environment, Globals } from '../config/environment.js';
import { CliError } from '../exit.js';
import { type Context, type Contexts, contextsPath, readContexts } from './contexts-file.js';
import { readLocal } from './local-system.js';

/** Which master is meant, and with which token. */
export interface Target {
  /** without a slash at its end */
  server: string;
  token?: string;
  /** where both come from, for messages */
  from: string;
  /** where the token comes from, if from elsewhere */
  tokenFrom?: string;
}

/**
 * The command line goes before the environment, and that before the contexts. A context's token goes to its own server
 * only: what `--server` or `HELIO_SERVER` names gets the token of `HELIO_TOKEN`, or that of a context for the same server.
 */
export function chooseTarget(env: Environment, { server, context }: Globals): Target {
  if (context !== undefined) {
    if (server !== undefined)
      throw new CliError('--context and --server both say which master is meant', { exit: 'usage', next: 'Say one.' });
    return fromContext(readContexts(env.configDir), context, env.configDir);
  }
  const named = server ?? env.server;
  if (named !== undefined) return fromUrl(env, named, server === undefined ? 'HELIO_SERVER' : '--server');
  const contexts = readContexts(env.configDir);
  if (contexts.current === undefined)
    throw new CliError('no master is named', {
      exit: 'usage',
      next: 'Run `helio login URL`, or `helio login --local` beside `npm start`; or set HELIO_SERVER and HELIO_TOKEN.',
    });
  const target = fromContext(contexts, contexts.current, env.configDir);
  return env.token === undefined ? target : { ...target, token: env.token, tokenFrom: 'HELIO_TOKEN' };
}

function fromUrl(env: Environment, url: string, from: string): Target {
  const server = bare(url, from);
  if (env.token !== undefined) return { server, token: env.token, from, tokenFrom: 'HELIO_TOKEN' };
  const { contexts } = readContexts(env.configDir);
  for (const [name, one] of Object.entries(contexts))
    if ('server' in one && bare(one.server, contextsPath(env.configDir)) === server)
      return { server, token: one.token, from, tokenFrom: `context ${name}` };
  return { server, from };
}

function fromContext({ contexts }: Contexts, name: string, configDir: string): Target {
  const context: Context | undefined = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
  if (!context)
    throw new CliError(`there is no context "${name}"`, {
      exit: 'notFound',
      next: `\`helio context list\` shows those of ${contextsPath(configDir)}; \`helio login\` makes one.`,
    });
  const from = `context ${name}`;
  if ('local' in context) return { ...readLocal(context.local), from };
  return { server: bare(context.server, from), token: context.token, from };
}

function bare(url: string, from: string): string {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url))
    throw new CliError(`${from}: "${url}" is no URL`, {
      exit: 'usage',
      next: 'Give one like https://master.example.com.',
    });
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname.replace(/\/+$/, '')}`;
}
