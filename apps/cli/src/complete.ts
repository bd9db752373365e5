import type { Argument, Command, Option } from 'commander';
import type { Cli } from './cli.js';
import type { Candidate } from './complete-names.js';
import type { Globals } from './config/environment.js';
import { chosenCommand, makeProgram } from './program.js';

/** @param kind what an argument or the value of an option is called: `region` */
type Names = (kinds: readonly string[], globals: Globals) => Promise<Candidate[]>;

/** What the scripts of `helio completion` ask for each time that the tab key is pressed: a line each, `word<tab>what it is`. */
export async function complete(cli: Cli, words: readonly string[]): Promise<void> {
  const before = words.slice(0, -1);
  const chosen = chosenCommand(before);
  const program = await makeProgram(cli, chosen === undefined ? [] : [chosen]);
  const names: Names = async (kinds, globals) => {
    const { namesOf } = await import('./complete-names.js');
    cli.use(globals, 'helio');
    return namesOf(cli, kinds);
  };
  const found = await candidates(program, before, words.at(-1) ?? '', names);
  for (const { word, about } of found) cli.out(`${word}\t${about}`);
}

/**
 * @param before words that are complete
 * @param begun the one that is being typed
 */
async function candidates(
  program: Command,
  before: readonly string[],
  begun: string,
  names: Names,
): Promise<Candidate[]> {
  const { command, argument, open, globals } = walk(program, before);
  const [, flag, value] = /^(--[^=]+)=(.*)$/s.exec(begun) ?? [];
  if (!open && flag !== undefined && value !== undefined) {
    const option = optionOf(program, command, flag);
    const all = option ? await valuesOf(option, names, globals) : [];
    return startingWith(value, all).map(({ word, about }) => ({ word: `${flag}=${word}`, about }));
  }
  if (open) return startingWith(begun, await valuesOf(open, names, globals));
  if (begun.startsWith('-'))
    return startingWith(
      begun,
      optionsOf(program, command).map(({ long, description }) => ({ word: long ?? '', about: firstLine(description) })),
    );
  if (command.commands.length > 0)
    return startingWith(
      begun,
      command.commands.map((one) => ({ word: one.name(), about: firstLine(one.summary() || one.description()) })),
    );
  const last = command.registeredArguments.at(-1);
  const expected = command.registeredArguments[argument] ?? (last?.variadic ? last : undefined);
  return expected ? startingWith(begun, await valuesOf(expected, names, globals)) : [];
}

interface Typed {
  command: Command;
  /** how many arguments it has already */
  argument: number;
  /** whose value is next */
  open?: Option;
  globals: Globals;
}

function walk(program: Command, before: readonly string[]): Typed {
  let command = program;
  let argument = 0;
  let open: Option | undefined;
  const globals: Record<string, string> = {};
  const keep = (option: Option, value: string): void => {
    if (program.options.includes(option)) globals[option.attributeName()] = value;
  };
  for (const word of before) {
    if (open) {
      keep(open, word);
      open = undefined;
    } else if (word.startsWith('-')) {
      const [flag = '', ...value] = word.split('=');
      const option = optionOf(program, command, flag);
      if (option && value.length > 0) keep(option, value.join('='));
      else if (option?.required) open = option;
    } else {
      const verb = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
      if (verb) command = verb;
      else argument += 1;
    }
  }
  return { command, argument, open, globals };
}

function optionOf(program: Command, command: Command, flag: string): Option | undefined {
  return optionsOf(program, command).find(({ long, short }) => long === flag || short === flag);
}

function optionsOf(program: Command, command: Command): readonly Option[] {
  return [...(command === program ? [] : command.options), ...program.options];
}

/** Its choices, or what there is of what it names. */
async function valuesOf(one: Option | Argument, names: Names, globals: Globals): Promise<Candidate[]> {
  if (one.argChoices) return one.argChoices.map((word) => ({ word, about: '' }));
  if (!('flags' in one)) return names([one.name()], globals);
  // `--to <environment>`, and `--region <text>` as it comes from the API
  return names([...(/(?<=<)[\w-]+(?=>)/.exec(one.flags) ?? []), one.name()], globals);
}

function startingWith(begun: string, all: readonly Candidate[]): Candidate[] {
  return all.filter(({ word }) => word.startsWith(begun));
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
