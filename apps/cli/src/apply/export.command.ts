import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { stringify } from 'yaml';
import type { Cli } from '../cli.js';
import type { Define } from '../command.js';
import { CliError } from '../exit.js';
import { isAlive } from '../is-alive.js';
import { makeDirectory } from '../output/make-directory.js';
import { visible } from '../output/style.js';

type Exported = Record<string, unknown> & { kind: string };

export const define: Define = (command, cli) => {
  command
    .description(
      'Writes what there is as documents that apply takes: to standard output, or to files of a new directory. There are no keys and no secrets in them.',
    )
    .option('--set <name>', 'only what belongs to this set')
    .option('-o, --output <directory>', 'a file for each API, and one for each other kind')
    .action(async ({ set, output }: { set?: string; output?: string }) => {
      if (output !== undefined) return exportTo(cli, output, set);
      for await (const document of documentsOf(cli, set)) await cli.drained(`---\n${stringify(document)}`);
    });
};

async function* documentsOf(cli: Cli, set: string | undefined): AsyncGenerator<Exported> {
  const api = await cli.api();
  const response = await api.stream(`/v1/export${set === undefined ? '' : `?set=${encodeURIComponent(set)}`}`);
  const leftOut = response.headers.get('heliograph-left-out');
  if (leftOut) cli.note(`Left out, as the role of this token may not read it: ${visible(leftOut)}`);
  try {
    for await (const line of createInterface({ input: Readable.fromWeb(response.body as ReadableStream) }))
      if (line !== '') yield JSON.parse(line) as Exported;
  } catch (error) {
    throw new CliError(`the export broke off: ${(error as Error).message}`, {
      exit: 'unreachable',
      next: 'Export again: what has come so far is not all there is.',
      cause: error,
    });
  }
}

/** Into a directory beside it, which takes its name when all is there: one that is there is complete. */
async function exportTo(cli: Cli, output: string, set: string | undefined): Promise<void> {
  const directory = existsSync(output) ? realpathSync(output) : resolve(output);
  const unfinished = `${directory}.${process.pid}.unfinished`;
  const writing = <T>(write: () => T): T => {
    try {
      return write();
    } catch (error) {
      if (error instanceof CliError) throw error;
      throw new CliError(`${output} cannot be written: ${(error as Error).message}`, {
        exit: 'usage',
        next: 'Name a directory that you may write, and that has room.',
        cause: error,
      });
    }
  };
  const standing = writing(() => standingOf(directory, output));
  writing(() => removeLeftOvers(directory));
  const { server } = await cli.api();
  const hint = `# yaml-language-server: $schema=${server}/v1/apply/schema.json\n`;
  const begun = new Set<string>();
  let count = 0;
  try {
    writing(() => {
      makeDirectory(unfinished);
      if (standing) takeRights(unfinished, standing);
      makeDirectory(join(unfinished, 'apis'));
    });
    for await (const document of documentsOf(cli, set)) {
      const name = fileOf(document);
      const text = `${begun.has(name) ? '---\n' : hint}${stringify(document)}`;
      writing(() => writeFileSync(join(unfinished, name), text, { flag: 'a' }));
      begun.add(name);
      count += 1;
    }
    writing(() => renameSync(unfinished, directory)); // an empty one that is there goes in the same step
  } finally {
    if (existsSync(unfinished)) rmSync(unfinished, { recursive: true });
  }
  cli.out(`${count} documents in ${output}`);
}

/** Of one that is there, and empty. @throws CliError where something is in it */
function standingOf(directory: string, name: string): Stats | null {
  if (!existsSync(directory)) return null;
  if (readdirSync(directory).length > 0)
    throw new CliError(`${name} is not empty`, { exit: 'usage', next: 'Name a new directory, or empty this one.' });
  return statSync(directory);
}

/** Who made the one that is there has decided who may look into it. Root alone may give a directory away. */
function takeRights(directory: string, { gid, mode, uid }: Stats): void {
  if (process.getuid?.() === 0) chownSync(directory, uid, gid);
  chmodSync(directory, mode);
}

/** What exports to the same directory have left that were interrupted: their processes are gone. */
function removeLeftOvers(directory: string): void {
  const beside = dirname(directory);
  if (!existsSync(beside)) return;
  const prefix = `${basename(directory)}.`;
  for (const name of readdirSync(beside)) {
    if (!name.startsWith(prefix)) continue;
    const [, pid] = /^(\d+)\.unfinished$/.exec(name.slice(prefix.length)) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) rmSync(join(beside, name), { recursive: true });
  }
}

const FILES: Record<string, string> = {
  environment: 'environments.yaml',
  region: 'regions.yaml',
  plan: 'plans.yaml',
  application: 'applications.yaml',
  subscription: 'subscriptions.yaml',
  'promotion-policy': 'promotion-policies.yaml',
  webhook: 'webhooks.yaml',
};

/** As API names and versions are written: whatever else a server says is no name of a file. */
const PLAIN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

function fileOf({ kind, name, version }: Exported): string {
  if (kind === 'api' && [name, version].every((part) => typeof part === 'string' && PLAIN.test(part)))
    return `apis/${String(name)}@${String(version)}.yaml`;
  return (Object.hasOwn(FILES, kind) && FILES[kind]) || 'others.yaml';
}
