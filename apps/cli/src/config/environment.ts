import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** All that the environment tells this tool. */
export interface Environment {
  /** `HELIO_SERVER`: the master, where no context is named */
  server?: string;
  /** `HELIO_TOKEN`: an access token, for the server of `HELIO_SERVER`, of `--server` or of the context in use */
  token?: string;
  /** where contexts are kept: `$XDG_CONFIG_HOME/heliograph`, or `~/.config/heliograph` */
  configDir: string;
  /** `NO_COLOR` is set to something, or the terminal is a dumb one */
  plain: boolean;
  /** `VISUAL`, `EDITOR`, or vi: a command line for a shell */
  editor: string;
  /** whatever else: for references `{env: NAME}` of files, and for programs that are started */
  all: Readonly<Record<string, string | undefined>>;
}

/** Options of every command. */
export interface Globals {
  server?: string;
  context?: string;
}

/** An empty variable is none, as the XDG specification and no-color.org say. */
export function environment(env: Record<string, string | undefined>): Environment {
  const { XDG_CONFIG_HOME: xdg } = env;
  return {
    server: env.HELIO_SERVER || undefined,
    token: env.HELIO_TOKEN || undefined,
    // a relative path is to be ignored, says the XDG specification
    configDir: join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.config'), 'heliograph'),
    plain: Boolean(env.NO_COLOR) || env.TERM === 'dumb',
    editor: env.VISUAL || env.EDITOR || 'vi',
    all: env,
  };
}
