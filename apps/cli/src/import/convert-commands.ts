import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import type { Convert, Converted } from './model/converted.js';
import type { Note } from './source/notes.js';
import type { SourceText } from './source/read-text.js';

interface Options {
  output: string;
  environment: string;
}

/** Gives `helio import` its verbs for files of other gateways. No master is asked. */
export const defineConversions: Define = (command, cli) => {
  const verb = (name: string, summary: string, description: string, load: () => Promise<Convert>): void => {
    command
      .command(`${name} <file...>`)
      .summary(summary)
      .description(description)
      .requiredOption('-o, --output <dir>', 'an empty directory, or one that is made')
      .requiredOption('-e, --environment <id>', 'where the APIs are to serve and the keys are to work')
      .action((files: string[], options: Options) => convert(cli, files, options, load));
  };
  verb(
    'kong',
    'Convert files of decK',
    'Converts services, routes, plugins, consumers and keys of Kong into files for `helio apply` and `helio import -f`, with a report of what has no counterpart. Of keys only the SHA-256 is written. Nothing is sent anywhere. See docs/moving/kong.md.',
    async () => (await import('./kong/convert-kong.js')).convertKong,
  );
  verb(
    'tyk',
    'Convert API definitions and policies of Tyk',
    'Converts API definitions of Tyk, classic and OAS, and policies into files for `helio apply`, with a report of what has no counterpart. Nothing is sent anywhere. See docs/moving/tyk.md.',
    async () => (await import('./tyk/convert-tyk.js')).convertTyk,
  );
};

async function convert(
  cli: Cli,
  files: readonly string[],
  options: Options,
  load: () => Promise<Convert>,
): Promise<void> {
  const { environmentId } = await import('#model');
  const environment = environmentId.safeParse(options.environment);
  if (!environment.success)
    throw new CliError(`--environment: ${environment.error.issues[0]?.message}`, { exit: 'usage' });
  const sources = await Promise.all(files.map((file) => read(cli, file)));
  const converted = (await load())(sources, environment.data);
  const { CONSUMERS, REPORT, writeConverted } = await import('./write-converted.js');
  const made = countsOf(converted);
  if (converted.apis.length + converted.plans.length + converted.lines.length === 0)
    throw new CliError('there is nothing in it that can be converted', {
      exit: 'usage',
      lines: converted.notes.slice(0, 20).map(lineOf),
    });
  const { output } = options;
  writeConverted(converted, output, `Made of ${files.map((file) => basename(file)).join(', ')}: ${made}.`);
  cli.out(`${made} in ${output}`);
  const count = (kind: Note['kind']): number => converted.notes.filter((note) => note.kind === kind).length;
  cli.out(
    `${count('closed')} closed, ${count('lost')} left out, ${count('changed')} different: see ${output}/${REPORT}`,
  );
  for (const note of converted.notes.filter(({ kind }) => kind === 'closed')) cli.note(`closed  ${lineOf(note)}`);
  cli.out(`next: helio diff -f ${output}, helio apply -f ${output}`);
  if (converted.lines.length > 0) cli.out(`then: helio import -f ${output}/${CONSUMERS}`);
}

async function read(cli: Cli, file: string): Promise<SourceText> {
  if (file === '-') return { name: '(standard input)', text: await text(cli.streams.stdin) };
  try {
    return { name: basename(file), text: await readFile(file, 'utf8') };
  } catch (error) {
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`, { exit: 'usage', cause: error });
  }
}

function countsOf({ apis, plans, lines }: Converted): string {
  const of = (kind: string): number => lines.filter((line) => line.kind === kind).length;
  const counts = [
    [apis.length, 'APIs'],
    [plans.length, 'plans'],
    [of('application'), 'applications'],
    [of('subscription'), 'subscriptions'],
    [of('key'), 'keys'],
  ] as const;
  return counts.map(([count, name]) => `${count} ${name}`).join(', ');
}

function lineOf({ file, line, where, why, todo }: Note): string {
  return `${file}${line === null ? '' : `:${line}`} ${where}: ${why}; ${todo}`;
}
