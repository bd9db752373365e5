import { CommanderError } from 'commander';
import { Cli } from './cli.js';
import type { Environment } from './config/environment.js';
import { CliError, EXIT } from './exit.js';
import { chosenCommand, makeProgram } from './program.js';

/** Runs one command line. @returns the code to end with */
export async function run(given: readonly string[], env: Environment): Promise<number> {
  const args = given[0] === 'help' ? [...given.slice(1), '--help'] : given; // as people try it
  const cli = new Cli(env, process);
  try {
    if (args[0] === 'complete') {
      const { complete } = await import('./complete.js');
      await complete(cli, args.slice(args[1] === '--' ? 2 : 1));
      return EXIT.ok.code;
    }
    const chosen = chosenCommand(args);
    const program = await makeProgram(cli, chosen === undefined ? [] : [chosen]);
    if (args.length === 0) program.help();
    await program.parseAsync(args, { from: 'user' });
    return EXIT[cli.exit].code;
  } catch (error) {
    return explain(error, cli);
  }
}

function explain(error: unknown, cli: Cli): number {
  // it has written its message, or the help, by itself
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok.code : EXIT.usage.code;
  if (error instanceof CliError) {
    cli.complain(error);
    return EXIT[error.exit].code;
  }
  // Prompts of @inquirer end so on Ctrl-C; its class would have to be loaded to be asked for.
  if ((error as Error).name === 'ExitPromptError') return EXIT.interrupted.code;
  cli.note(`helio: this is a fault of helio itself: ${(error as Error).stack ?? String(error)}`);
  return EXIT.failed.code;
}
