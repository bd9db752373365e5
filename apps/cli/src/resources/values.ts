import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { type Command, Option } from 'commander';
import type { Value } from '../api/operation.js';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';

/** What commander keeps of options: by their names in camel case. */
export type Given = Readonly<Record<string, unknown>>;

/** Adds an option for each value, named as the API does: `expiresAt` is `--expires-at`. */
export function addOptions(command: Command, values: readonly Value[]): void {
  for (const value of values) {
    const { kind, choices, about = exampleOf(value), default: byDefault } = value;
    const shown = byDefault === undefined ? about : `${about}${about ? ' ' : ''}(default: ${byDefault})`;
    const option = new Option(`--${optionName(value.name)} ${placeholder(value)}`, firstLine(shown));
    if (kind === 'boolean') option.preset('true').argParser((word) => booleanOf(value.name, word));
    else if (kind === 'texts')
      option.argParser((words, before: string[] | undefined) => [...(before ?? []), ...words.split(',')]);
    else if (choices && kind === 'text') option.choices(choices);
    command.addOption(option);
  }
}

/** The values of a request that were given as options. @throws CliError for text that is not what the value must be */
export async function readValues(values: readonly Value[], given: Given): Promise<Record<string, unknown>> {
  const entries: [string, unknown][] = [];
  for (const value of values) {
    const word = given[camel(optionName(value.name))];
    if (word !== undefined) entries.push([value.name, await valueOf(value, word)]);
  }
  return Object.fromEntries(entries);
}

/** @throws CliError where one that must be there is not */
export function demand(values: readonly Value[], given: Readonly<Record<string, unknown>>): void {
  const missing = values.filter(({ name, required }) => required && given[name] === undefined);
  if (missing.length > 0)
    throw new CliError(`missing: ${missing.map(({ name }) => optionName(name)).join(', ')}`, { exit: 'usage' });
}

/** A document of a file, or of standard input. @param path `-` is standard input */
export async function readDocument(cli: Cli, path: string): Promise<unknown> {
  const { parse } = await import('yaml');
  const content = await readInput(cli, path);
  try {
    return parse(content);
  } catch (error) {
    throw new CliError(`${path}: ${firstLine((error as Error).message)}`, { exit: 'usage', cause: error });
  }
}

export async function readInput(cli: Cli, path: string): Promise<string> {
  if (path === '-') return text(cli.streams.stdin);
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, { exit: 'usage', cause: error });
  }
}

export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Names that options of every command have already. */
const TAKEN: Readonly<Record<string, string>> = { context: 'context-path' };

function optionName(name: string): string {
  return TAKEN[name] ?? kebab(name);
}

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

async function valueOf({ name, kind, nullable }: Value, word: unknown): Promise<unknown> {
  if (nullable && word === 'null') return null;
  if (kind === 'number') return numberOf(name, word as string);
  return kind === 'any' ? structureOf(name, word as string) : word;
}

function numberOf(name: string, word: string): number {
  const number = word.trim() === '' ? Number.NaN : Number(word);
  if (Number.isNaN(number)) throw new CliError(`--${optionName(name)}: "${word}" is no number`, { exit: 'usage' });
  return number;
}

function booleanOf(name: string, word: string): boolean {
  if (word === 'true' || word === 'false') return word === 'true';
  throw new CliError(`--${optionName(name)}: "${word}" is neither true nor false`, { exit: 'usage' });
}

/** `limit=100,per=second` is an object; whatever else is YAML, so JSON too. */
async function structureOf(name: string, word: string): Promise<unknown> {
  const { parse } = await import('yaml');
  try {
    if (!/^[\w.]+=/.test(word)) return parse(word) as unknown;
    const pairs = word.split(',').map((pair) => pair.split(/=(.*)/s));
    return Object.fromEntries(pairs.map(([key, value]) => [key, parse(value ?? '') as unknown]));
  } catch (error) {
    throw new CliError(`--${optionName(name)}: "${word}" cannot be read: ${firstLine((error as Error).message)}`, {
      exit: 'usage',
      next: 'Give it as limit=100,per=second, as JSON, or in a file by -f.',
      cause: error,
    });
  }
}

function placeholder({ kind, choices, fields }: Value): string {
  if (kind === 'boolean') return '[true|false]';
  if (kind === 'number') return '<number>';
  if (kind === 'texts') return '<one,two>';
  if (choices && choices.length <= 4) return `<${choices.join('|')}>`;
  if (fields) return `<${fields.map((field) => `${field}=`).join(',')}>`;
  return kind === 'any' ? '<yaml>' : '<text>';
}

/** For what the master's document does not describe: how it is written. */
function exampleOf({ name, kind, fields }: Value): string {
  if (name.endsWith('At')) return 'a time like 2027-01-31T00:00:00Z';
  if (fields?.includes('per')) return 'like limit=100,per=second';
  if (fields?.includes('rate')) return "like '{rate: {limit: 100, per: second}}'";
  if (kind === 'any') return 'as YAML or JSON';
  return '';
}

function firstLine(about: string): string {
  return about.split('\n')[0] ?? '';
}
