import type { Command } from 'commander';
import { CliError } from '../exit.js';

export interface DocumentOptions {
  file?: string[];
  set?: string;
  prune?: boolean;
  take?: boolean;
}

/** What `apply` and `diff` both ask for. */
export function documentOptions(command: Command): Command {
  return command
    .option('-f, --file <path...>', 'files or directories with documents; - is standard input')
    .option('--set <name>', 'who owns what the documents declare; default: default')
    .option('--prune', 'delete what the set owns and no document declares')
    .option('--take', 'take over what belongs to another set');
}

/** @throws CliError for --prune without a name: the default one is everybody's */
export function setOf({ set, prune }: DocumentOptions): string {
  if (prune && set === undefined)
    throw new CliError('--prune deletes what a set owns: say which', { exit: 'usage', next: 'Add --set NAME.' });
  return set ?? 'default';
}
