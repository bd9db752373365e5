import { Command } from 'commander';
import { type Cli, helpOf } from './cli.js';
import { type Entry, GROUPS } from './command.js';
import type { Globals } from './config/environment.js';
import { COMMANDS } from './commands.js';
import { VERSION } from './version.js';

const WITH_VALUE = ['--server', '--context'];

/**
 * The tree of commands, of which only those of `chosen` are complete: others are a name and a line of help.
 *
 * @param chosen names of commands
 */
export async function makeProgram(cli: Cli, chosen: readonly string[]): Promise<Command> {
  const program = new Command('helio')
    .description('Heliograph from the command line. What it asks of a master, it asks of the REST API.')
    .version(VERSION, '--version', 'the version of this tool')
    .helpOption('-h, --help', 'how to use the command')
    .helpCommand(false)
    .option('--server <url>', 'the master, instead of the one of the context')
    .option('--context <name>', 'the context to use')
    .configureHelp({ showGlobalOptions: true, sortOptions: false })
    .configureOutput({
      writeOut: (text) => cli.write(text),
      writeErr: (text) => cli.writeError(text),
      getOutHasColors: () => cli.colours,
      getErrHasColors: () => false,
      outputError: (text, write) => write(text.replace(/^error: /, 'helio: ')),
    })
    .exitOverride()
    .showSuggestionAfterError()
    .hook('preAction', (_, action) => cli.use(action.optsWithGlobals<Globals>(), pathOf(action)));
  const loaded = COMMANDS.map(async (entry) => (isOne(entry, chosen) ? (await entry.load()).define : undefined));
  const defined = await Promise.all(loaded);
  COMMANDS.forEach((entry, at) => {
    // a summary of its own, so that `define` may say more in a description
    const command = program.command(entry.name).aliases([...(entry.aliases ?? [])]);
    command.summary(entry.summary).description(entry.summary).helpGroup(GROUPS[entry.group]).helpCommand(false);
    defined[at]?.(command, cli);
  });
  tellNext(program);
  return program;
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

/** What is said below an error of the command line. */
function tellNext(command: Command): void {
  command.showHelpAfterError(`next: ${helpOf(pathOf(command))}`);
  for (const one of command.commands) tellNext(one);
}

/** The command that is asked for: the first word that is no option and no value of one. */
export function chosenCommand(args: readonly string[]): string | undefined {
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    if (WITH_VALUE.includes(arg)) at++;
    else if (arg === '--') return args[at + 1];
    else if (!arg.startsWith('-')) return arg;
  }
  return undefined;
}

function isOne({ name, aliases = [] }: Entry, chosen: readonly string[]): boolean {
  return chosen.some((one) => one === name || aliases.includes(one));
}
