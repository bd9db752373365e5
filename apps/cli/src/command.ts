import type { Command } from 'commander';
import type { Cli } from './cli.js';

/*
 * How to add a command
 *
 * 1. A module of its own, `<folder>/<name>.command.ts`, that exports `define`. It is loaded only when its command is asked
 *    for (or its help), so it may import what it likes; what only some of its ways need it loads by `await import()`.
 *
 *      export const define: Define = (command, cli) => {
 *        outputOption(command)                                    // output/output.js: -o table|wide|json|yaml|name
 *          .argument('<region>', 'id of the region')
 *          .option('--all', 'those that are gone, too')
 *          .action(async (region: string, options: { output: Format; all?: boolean }) => {
 *            const api = await cli.api();                         // the master of the context in use
 *            const item = answered(await api.http.GET('/v1/regions/{region}', { params: { path: { region } } }));
 *            await cli.print(options.output, { item, name: ({ id }) => id });
 *          });
 *      };
 *
 *    A command with verbs makes them by `command.command('verb').description(...)`.
 * 2. One line in commands.ts. What stands there is all that `helio --help` needs to know.
 * 3. `npm run docs`: docs/cli.md is made from the tree of commands, and a test holds them together.
 *
 * What there is
 *
 *   cli.api()        the master: `http` is openapi-fetch, typed by the master's own document. An answer that is no 2xx is
 *                    thrown, as is a master that cannot be reached: `answered()` is what is left. Retries and Idempotency-Keys of POSTs
 *                    are looked after. `send` is the same without types, `stream` for server-sent events and uploads.
 *   cli.print()      results, to standard output, in the format that -o asks for
 *   cli.out()        a line of standard output; cli.note() one of standard error, for what is no result
 *   cli.style        colours of standard output, which are none in a pipe; what others wrote goes through `visible()` first
 *   cli.confirm()    asks on a terminal; elsewhere it ends with what to do (`--yes`). cli.secret() reads without echo
 *   cli.follow()     for what goes on until Ctrl-C: gives a signal that also aborts when nobody reads the output any more
 *   cli.exit         to end otherwise than well without a message: `cli.exit = 'failed'`
 *   throw new CliError('what is wrong', { exit, lines, next })     the one way to fail: see exit.ts
 */

/** Gives the command its arguments, options, verbs and action. */
export type Define = (command: Command, cli: Cli) => void;

export const GROUPS = {
  catalogue: 'APIs and where they serve:',
  consumers: 'Who calls them:',
  topology: 'Environments, regions, replicas:',
  files: 'From files:',
  operating: 'Running it:',
  access: 'Access and records:',
  tool: 'This tool:',
} as const;

export interface Entry {
  name: string;
  aliases?: readonly string[];
  summary: string;
  group: keyof typeof GROUPS;
  load: () => Promise<{ define: Define }>;
}
