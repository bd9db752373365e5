import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Cli } from '../cli.js';
import { CliError } from '../exit.js';
import { type Format, outputOption } from '../output/output.js';
import type { Item } from './columns.js';
import { addPathArguments, nameOf } from './read-verbs.js';
import { pathWith, tellWrite } from './requests.js';
import type { Resource } from './resources.js';
import type { Verb } from './verbs.js';

/** `edit`: what may be changed of an item, in an editor; sent with the ETag of what was read. */
export function addEditVerb(parent: Command, cli: Cli, resource: Resource, update: Verb, read: Verb): void {
  const command = parent.command('edit').description('Change it in an editor: VISUAL, EDITOR or vi');
  addPathArguments(command, read);
  outputOption(command);
  command.action(async (...args: unknown[]) => {
    const words = args.slice(0, -2) as string[];
    const { output } = command.opts<{ output: Format }>();
    const path = pathWith(update.path, words);
    const api = await cli.api();
    const before = await api.send({ method: 'GET', path });
    const names = (update.operation.body ?? []).map(({ name }) => name);
    const fields = Object.fromEntries(names.map((name) => [name, (before.body as Item)[name]]));
    const dir = mkdtempSync(join(tmpdir(), 'helio-'));
    const file = join(dir, 'edit.yaml');
    try {
      const body = await edited(cli, file, `# ${resource.name} ${words.join(' ')}\n`, fields);
      if (body === undefined) cli.note('Nothing was changed.');
      else {
        const etag = before.headers.get('etag');
        const headers: Record<string, string> = etag === null ? {} : { 'if-match': etag };
        const answer = await api.send({ method: update.method as 'PATCH', path, headers, body });
        tellWrite(cli, answer);
        await cli.print(output, { item: answer.body as Item, name: nameOf(resource) });
      }
      rmSync(dir, { recursive: true });
    } catch (error) {
      cli.note(`helio: what was written is kept in ${file}`);
      throw error;
    }
  });
}

/** @returns undefined where it is as before. @throws CliError where it is no YAML */
async function edited(cli: Cli, file: string, title: string, fields: object): Promise<object | undefined> {
  const { parse, stringify } = await import('yaml');
  const text = title + stringify(fields);
  writeFileSync(file, text, { mode: 0o600 });
  // a command line of the user's own: it may have arguments
  const { status } = spawnSync('/bin/sh', ['-c', `${cli.env.editor} "$1"`, 'sh', file], { stdio: 'inherit' });
  if (status !== 0) throw new CliError(`${cli.env.editor} ended with ${status}`);
  const after = readFileSync(file, 'utf8');
  if (after === text) return undefined;
  try {
    return parse(after) as object;
  } catch (error) {
    throw new CliError(`that is no YAML: ${(error as Error).message}`, { exit: 'usage', cause: error });
  }
}
