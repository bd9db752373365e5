import type { Command } from 'commander';
import type { MasterApi } from '../api/master-api.js';
import type { Value } from '../api/operation.js';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import type { Item } from './columns.js';
import { wholeDigests } from './digests.js';
import { addPathArguments, describe, nameOf } from './read-verbs.js';
import { pathWith, preferOf, tellWrite, type Waiting } from './requests.js';
import type { Resource } from './resources.js';
import { addOptions, demand, type Given, kebab, readDocument, readInput, readValues } from './values.js';
import { asksFirst, type Verb } from './verbs.js';

const HOW_SECRET = '(- is standard input, @FILE a file: others can read arguments)';

interface Writing extends Waiting {
  output: Format;
  file?: string;
  yes?: boolean;
}

/** @param read how to get at the item's ETag */
export function addWriteVerb(parent: Command, cli: Cli, resource: Resource, verb: Verb, read: Verb | undefined): void {
  const { operation } = verb;
  const body = operation.body ?? [];
  const given = verb.name === 'create' ? body.filter(({ name }) => resource.given?.includes(name)) : [];
  const secret = resource.secrets?.[verb.name];
  const flags = body
    .filter((value) => !given.includes(value))
    .map((value) => (value.name === secret ? { ...value, about: `${value.about ?? ''} ${HOW_SECRET}`.trim() } : value));
  const query = operation.query.filter(({ name }) => name !== 'applied');
  const command = describe(parent.command(verb.name), verb);
  addPathArguments(command, verb);
  for (const name of (verb.name === 'create' && resource.given) || [])
    command.argument(`[${kebab(name)}]`, `${given.find((one) => one.name === name)?.about ?? ''}`);
  addOptions(command, [...flags, ...query]);
  if (operation.body) command.option('-f, --file <file>', 'a YAML or JSON file with all of that; - is standard input');
  if (operation.wait) addWaiting(command);
  if (asksFirst(verb)) command.option('--yes', 'do not ask');
  if (!operation.empty) outputOption(command);
  command.action(async (...args: unknown[]) => {
    const options = command.opts<Writing & Given>();
    const words = args.slice(0, -2) as (string | undefined)[];
    const inPath = words.slice(0, operation.path.length) as string[];
    const path = pathWith(verb.path, inPath);
    const prefer = operation.wait ? preferOf(options) : { headers: {}, query: {} };
    const fields = operation.body && {
      ...(await documentOf(cli, options.file)),
      ...(await secretsRead(cli, await readValues(flags, options), secret)),
      ...positional(resource.given ?? [], given, words.slice(operation.path.length)),
    };
    if (fields) demand(body, fields);
    if (verb.name === 'update' && Object.keys(fields ?? {}).length === 0)
      throw new CliError('nothing is named that shall change', { exit: 'usage' });
    if (asksFirst(verb)) await cli.confirm(`${sentence(verb.name)} ${resource.name} ${inPath.join(' ')}?`, options.yes);
    const api = await cli.api();
    const answer = await api.send({
      method: verb.method as 'POST',
      path,
      query: { ...((await readValues(query, options)) as Record<string, string>), ...prefer.query },
      headers: { ...prefer.headers, ...(operation.ifMatch === 'required' && (await ifMatch(api, read, path))) },
      body: fields && (await wholeDigests(api, verb, inPath, fields)),
    });
    tellWrite(cli, answer);
    if (operation.empty) cli.out(`${resource.name} ${inPath.join(' ')}: ${verb.name} is done`);
    else await cli.print(options.output, { item: answer.body as Item, name: nameOf(resource) });
  });
}

/** `--wait` and `--applied`. */
export function addWaiting(command: Command): void {
  command
    .option('--wait <seconds>', 'until replicas have applied it, 1 to 60')
    .option('--applied <which>', 'with --wait, which replicas: all, region:<id>, quorum (default: all)');
}

/** The ETag of what is there now, so that nothing is overwritten that came in between; none where there is nothing yet. */
async function ifMatch(api: MasterApi, read: Verb | undefined, path: string): Promise<Record<string, string>> {
  if (!read) return {};
  try {
    const { headers } = await api.send({ method: 'GET', path });
    const etag = headers.get('etag');
    return etag === null ? {} : { 'if-match': etag };
  } catch (error) {
    if (error instanceof CliError && error.exit === 'notFound') return {}; // the write says so, or makes it
    throw error;
  }
}

/** @param secret the name of a value that may be `-` or `@file` */
async function secretsRead(
  cli: Cli,
  values: Record<string, unknown>,
  secret: string | undefined,
): Promise<Record<string, unknown>> {
  const word = secret === undefined ? undefined : values[secret];
  if (secret === undefined || typeof word !== 'string' || !/^(-$|@)/.test(word)) return values;
  return { ...values, [secret]: (await readInput(cli, word.replace(/^@/, ''))).trim() };
}

async function documentOf(cli: Cli, file: string | undefined): Promise<Record<string, unknown>> {
  if (file === undefined) return {};
  const value = await readDocument(cli, file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CliError(`${file} must be one document: a mapping of fields to values`, { exit: 'usage' });
}

function positional(
  names: readonly string[],
  values: readonly Value[],
  words: readonly (string | undefined)[],
): Record<string, string> {
  const known = names.filter((name) => values.some((one) => one.name === name));
  return Object.fromEntries(known.flatMap((name, at) => (words[at] === undefined ? [] : [[name, words[at]]])));
}

function sentence(verb: string): string {
  const words = verb.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
