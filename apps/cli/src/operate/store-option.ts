import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type ArtifactStore, openStore, patientStore, readTrustedKeys, StoreError } from '#artifacts';
import { environmentId } from '#model';
import { z } from 'zod';
import type { Environment } from '../config/environment.js';
import { CliError } from '../exit.js';
import { visible } from '../output/style.js';
import { jsonOf } from './doctor/ask.js';

/** a listing of a directory with millions of revisions */
const CALL_MS = 60_000;

/**
 * The store that somebody names, for reading: `file:///dir`, `s3://bucket/prefix` with the `S3_*` of the environment, or the path
 * of a directory.
 *
 * @throws CliError for what is no such name
 */
export function storeFor(named: string, { all }: Environment): ArtifactStore {
  const s3 = {
    endpoint: all.S3_ENDPOINT ?? '',
    accessKey: all.S3_ACCESS_KEY ?? '',
    secretKey: all.S3_SECRET_KEY ?? '',
    region: all.S3_REGION,
  };
  try {
    return patientStore(openStore(urlOf(named), { s3, timeoutMs: CALL_MS }));
  } catch (error) {
    throw asCliError(error);
  }
}

/**
 * The environments to look at: those that are named, or all that a directory has.
 *
 * @throws CliError where that is not known, and for what is no directory of a store
 */
export function environmentsOf(named: string, asked: readonly string[]): readonly string[] {
  const directory = directoryOf(named);
  if (asked.length > 0) return asked;
  if (directory === null)
    throw new CliError('which environments the bucket has is not known', {
      exit: 'usage',
      next: 'Name them: --environment prod; several times for several.',
    });
  const found = chainsIn(directory);
  if (found.length > 0) return found;
  throw new CliError(`${directory} has no chain: no <environment>/head.json is below it`, {
    exit: 'notFound',
    next: 'Name the directory that ARTIFACT_STORE names, or a copy of it; or say --environment, if only the head is missing.',
  });
}

/** That a directory has something of each of them: one that has nothing is most likely called otherwise. @throws CliError */
export function requireFolders(named: string, environments: readonly string[]): void {
  const directory = directoryOf(named);
  if (directory === null || !existsSync(directory)) return;
  for (const name of environments) {
    const head = join(directory, name, 'head.json');
    // whoever opens a pipe waits for somebody who writes into it
    if (existsSync(head) && !isFile(head)) throw new CliError(visible(`${head} is no file`));
  }
  const gone = environments.find((name) => !existsSync(join(directory, name)));
  if (gone === undefined) return;
  const found = chainsIn(directory);
  throw new CliError(visible(`${directory} has nothing of an environment "${gone}"`), {
    exit: 'notFound',
    next: found.length > 0 ? `It has ${found.join(', ')}.` : 'It has none: see if it is the directory of a store.',
  });
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** What else lies in the directory of a store is nobody's. */
function chainsIn(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).filter(
    (name) => environmentId.safeParse(name).success && isFile(join(directory, name, 'head.json')),
  );
}

/** null: it is no directory, but a bucket. @throws CliError for a file */
function directoryOf(named: string): string | null {
  const url = new URL(urlOf(named));
  if (url.protocol !== 'file:') return null;
  const directory = fileURLToPath(url);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? true) return directory;
  throw new CliError(visible(`${directory} is a file, and not the directory of a store`), {
    exit: 'usage',
    next: 'Name the directory that ARTIFACT_STORE names, or a copy of it.',
  });
}

/** Public keys as `HELIO_TRUSTED_KEYS` has them, or as a master lists them; null: none were given. @throws CliError */
export function trustedKeysFor(option: string | undefined, { all }: Environment): string[] | null {
  const text = option ?? (all.HELIO_TRUSTED_KEYS || undefined);
  if (text === undefined) return null;
  try {
    return readTrustedKeys(listedKeys(text.startsWith('file:') ? readFileSync(new URL(text), 'utf8') : text) ?? text);
  } catch (error) {
    throw new CliError(`the trusted keys cannot be used: ${(error as Error).message}`, {
      exit: 'usage',
      next: 'Give them in base64 with commas between them; as file:///path of a file with one a line; or what `helio signing-key list -o json` answers.',
    });
  }
}

const listed = z.array(z.object({ publicKey: z.string() }));
const answer = z.union([listed, z.object({ items: listed }).transform(({ items }) => items)]);

/** Those of `GET /v1/signing-keys`, which are also those of long ago; null: it is no such answer. */
function listedKeys(text: string): string | null {
  const parsed = answer.safeParse(jsonOf(text));
  return parsed.success ? parsed.data.map(({ publicKey }) => publicKey).join(',') : null;
}

/** A store that is away, or that may not be read, in words of this tool. */
export function asCliError(error: unknown): unknown {
  if (!(error instanceof StoreError)) return error;
  const isName = error.code === 'store_bad_name';
  return new CliError(error.message, {
    exit: isName ? 'usage' : error.code === 'store_denied' ? 'refused' : 'unreachable',
    next:
      isName && error.message.includes('S3_')
        ? 'An s3:// store needs S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY in the environment.'
        : 'Check that the store is there, and that it may be read and listed from here.',
    cause: error,
  });
}

function urlOf(named: string): string {
  return /^[a-z0-9+]+:\/\//i.test(named) ? named : pathToFileURL(resolve(named)).href;
}
