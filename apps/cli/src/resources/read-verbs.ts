import type { Command } from 'commander';
import type { MasterApi } from '../api/master-api.js';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';
import { watch } from '../output/live.js';
import { type Column, type Format, outputOption, type View } from '../output/output.js';
import { render, textOf } from '../output/render.js';
import { visibleLines } from '../output/style.js';
import { col, type Item } from './columns.js';
import { wholeDigests } from './digests.js';
import { pathWith, readList } from './requests.js';
import type { Resource } from './resources.js';
import { addOptions, demand, type Given, kebab, readValues } from './values.js';
import type { Verb } from './verbs.js';

const WATCH_MS = 2_000;
const DEFAULT_LIMIT = 100;
const PAGING = new Set(['limit', 'cursor']);

interface Reading {
  output: Format;
  watch?: boolean;
}

/** Adds the arguments that stand in a path. @returns their values, from the arguments of an action */
export function addPathArguments(command: Command, { operation, path }: Verb): void {
  for (const name of path.match(/(?<=\{)\w+(?=\})/g) ?? []) {
    const { about = '' } = operation.path.find((one) => one.name === name) ?? {};
    command.argument(`<${kebab(name)}>`, about);
  }
}

/** @param isDefault whether the command without a verb is this */
export function addListVerb(parent: Command, cli: Cli, resource: Resource, verb: Verb, isDefault: boolean): void {
  const { operation } = verb;
  const command = describe(parent.command(verb.name, { isDefault }), verb);
  addPathArguments(command, verb);
  const filters = operation.query
    .filter(({ name }) => !PAGING.has(name))
    .map((one) => (resource.newestFirst && one.name === 'order' ? { ...one, default: 'desc' } : one));
  const paged = operation.query.some(({ name }) => name === 'cursor');
  addOptions(command, filters);
  if (paged)
    command
      .option('--limit <number>', 'how many at the most', String(DEFAULT_LIMIT))
      .option('--all', 'all of them, however many');
  outputOption(command).option('--watch', `look again every ${WATCH_MS / 1000} s, until Ctrl-C`);
  command.action(async (...args: unknown[]) => {
    const options = command.opts<Reading & Given & { limit?: string; all?: boolean }>();
    const query = (await readValues(filters, options)) as Record<string, string>;
    // `after` goes on where somebody has stopped reading
    if (resource.newestFirst && query.after === undefined) query.order ??= 'desc';
    const path = pathWith(verb.path, args.slice(0, -2) as string[]);
    const most = paged ? (options.all ? 'all' : limitOf(options.limit)) : null;
    const api = await cli.api();
    if (query.format !== undefined && query.format !== 'json') return copy(cli, api, path, query);
    await show(cli, options, async () => {
      const { items, more } = await readList(api, { path, query, most });
      const columns = verb.name === 'list' ? resource.columns : columnsOf(items);
      const view = { items, columns, name: nameOf(resource) };
      return { view, note: more ? `there are more: --limit ${Number(most) * 10}, or --all` : undefined };
    });
  });
}

export function addReadVerb(parent: Command, cli: Cli, resource: Resource, verb: Verb): void {
  const command = describe(parent.command(verb.name), verb);
  addPathArguments(command, verb);
  addOptions(command, verb.operation.query);
  outputOption(command).option('--watch', `look again every ${WATCH_MS / 1000} s, until Ctrl-C`);
  command.action(async (...args: unknown[]) => {
    const options = command.opts<Reading & Given>();
    const words = args.slice(0, -2) as string[];
    const given = (await readValues(verb.operation.query, options)) as Record<string, string>;
    demand(verb.operation.query, given);
    const api = await cli.api();
    const query = await wholeDigests(api, verb, words, given);
    const inPath = Object.fromEntries(verb.operation.path.map(({ name }, at) => [name, words[at] ?? '']));
    const path = pathWith(verb.path, Object.values(await wholeDigests(api, verb, words, inPath)));
    await show(cli, options, async () => {
      const { body } = await api.send({ method: 'GET', path, query });
      return { view: { item: body as Item, name: nameOf(resource) } };
    });
  });
}

/** Of lists that are no list of the resource: what their first item has. */
function columnsOf([item = {}]: readonly Item[]): readonly Column<Item>[] {
  return Object.keys(item).map((name) => col(name.toUpperCase(), name));
}

/** What `-o name` prints of an item. */
export function nameOf({ key = 'id' }: Resource): (item: Item) => string {
  return (item) => textOf(item[key] ?? item.id);
}

/** What an operation does, from the document. */
export function describe(command: Command, { operation: { summary, description = '' } }: Verb): Command {
  // lines of a paragraph are broken anew; those of a list stay
  const flowing = description.replace(/(?<!\n)\n(?!\n|- |`)/g, ' ');
  return command.summary(summary).description([`${summary}.`, flowing].filter(Boolean).join('\n\n'));
}

async function show(
  cli: Cli,
  { output, watch: again }: Reading,
  read: () => Promise<{ view: View<Item>; note?: string }>,
): Promise<void> {
  if (again) return watch(cli, WATCH_MS, async () => render(output, (await read()).view, cli.style));
  const { view, note } = await read();
  await cli.print(output, view);
  if (note) cli.note(note);
}

/** An answer of another format is for a file: it goes through as it comes. */
async function copy(cli: Cli, api: MasterApi, path: string, query: Record<string, string>): Promise<void> {
  const response = await api.stream(`${path}?${new URLSearchParams(query).toString()}`);
  const decoder = new TextDecoder();
  try {
    for await (const bytes of response.body ?? []) {
      const text = decoder.decode(bytes as Uint8Array, { stream: true });
      await cli.drained(cli.terminal ? visibleLines(text) : text);
    }
  } catch (error) {
    throw new CliError(`the answer broke off: ${(error as Error).message}`, {
      exit: 'unreachable',
      next: 'Ask again: what has come so far is not all there is.',
      cause: error,
    });
  }
}

function limitOf(word: string | undefined): number {
  const limit = Number(word);
  if (Number.isInteger(limit) && limit > 0) return limit;
  throw new CliError(`--limit: "${word}" is no whole number from 1`, { exit: 'usage' });
}
