import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { safeJson, visible } from '../output/style.js';
import { defineConversions } from './convert-commands.js';

interface Answer {
  line?: number;
  ok?: boolean;
  code?: string;
  detail?: string;
  summary?: {
    lines: number;
    created: number;
    updated: number;
    unchanged: number;
    failed: number;
    revisions: string | string[];
  };
}

/** Lines that are told one by one; a file of another kind would fail in each. */
const MOST_TOLD = 50;
/** a line that is longer is not looked at beforehand */
const BEGIN_BYTES = 64 * 1024;

export const define: Define = (command, cli) => {
  defineConversions(command, cli);
  command
    .description(
      'Loads applications, subscriptions and keys, a JSON object in each line (NDJSON). It can be repeated: what is there already is left as it is.',
    )
    .option('-f, --file <file>', 'the lines; - is standard input')
    .option('--raw', 'print the answer to each line as it comes, as JSON')
    .allowExcessArguments() // so that they can be named
    .action(async ({ file, raw }: { file?: string; raw?: boolean }) => {
      const [format] = command.args;
      if (format !== undefined)
        throw new CliError(`"${format}" is nothing that can be imported: kong and tyk are; or lines, by -f`, {
          exit: 'usage',
        });
      if (file === undefined) throw new CliError('say which lines: -f FILE, or -f -', { exit: 'usage' });
      await importLines(cli, file, raw === true);
    });
};

async function importLines(cli: Cli, file: string, raw: boolean): Promise<void> {
  const api = await cli.api();
  const response = await api.stream('/v1/import', {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: Readable.toWeb(await linesOf(cli, file)) as unknown as RequestInit['body'],
    duplex: 'half',
  });
  const lines = createInterface({ input: Readable.fromWeb(response.body as ReadableStream) });
  let summary: Answer['summary'];
  let told = 0;
  try {
    for await (const text of lines) {
      if (raw) await cli.drained(`${cli.terminal ? safeJson(text) : text}\n`);
      const answer = JSON.parse(text) as Answer;
      summary = answer.summary ?? summary;
      if (!raw && answer.ok === false && told++ < MOST_TOLD)
        cli.note(visible(`${file}:${answer.line ?? 0}: ${answer.detail ?? ''} (${answer.code ?? ''})`));
    }
  } catch (error) {
    throw brokenOff(error);
  }
  if (!summary) throw brokenOff();
  const { lines: all, created, updated, unchanged, failed, revisions } = summary;
  if (!raw) cli.out(`${all} lines: ${created} created, ${updated} updated, ${unchanged} unchanged, ${failed} failed`);
  if (revisions.length > 0) cli.note(`revision ${visible(String(revisions))}`);
  if (failed > 0)
    throw new CliError(failed === all ? 'no line was taken' : `${failed} lines failed, the others are written`, {
      next: 'Correct them and send the whole file again.',
    });
}

function brokenOff(cause?: unknown): CliError {
  const why = cause === undefined ? '' : `: ${(cause as Error).message}`;
  const next = 'Send the same file again: it can be repeated.';
  return new CliError(`the import broke off${why}`, { exit: 'unreachable', next, cause });
}

/** @throws CliError where the file cannot be read, or is of another kind */
async function linesOf(cli: Cli, file: string): Promise<Readable> {
  if (file === '-') return cli.streams.stdin;
  let begin: string;
  try {
    begin = await beginOf(file);
  } catch (error) {
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`, { exit: 'usage', cause: error });
  }
  const [first = '', more] = begin.replace(/^\s+/, '').split('\n');
  if (more !== undefined && !isObjectLine(first))
    throw new CliError(`${file} does not hold lines of JSON: its first one is no JSON object`, {
      exit: 'usage',
      next: '`helio import kong` and `helio import tyk` convert files of other gateways; `helio apply -f` takes documents.',
    });
  return createReadStream(file);
}

async function beginOf(file: string): Promise<string> {
  const opened = await open(file);
  try {
    const { bytesRead, buffer } = await opened.read({ buffer: Buffer.alloc(BEGIN_BYTES), position: 0 });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await opened.close();
  }
}

function isObjectLine(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
