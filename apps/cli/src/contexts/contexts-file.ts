import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { faultsOf } from '#platform';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { CliError } from '../exit.js';

const server = z.url({ protocol: /^https?$/, error: 'must be a URL like https://master.example.com' });
const name = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 letters, digits, dots, dashes and underscores');
const context = z.union([
  z.strictObject({ server, token: z.string().min(1).optional() }),
  // that of `npm start`, whose token is another one after --fresh: it is read each time
  z.strictObject({ local: z.string() }),
]);
const contents = z.strictObject({ current: name.optional(), contexts: z.record(name, context).default({}) });

export type Context = z.infer<typeof context>;
export type Contexts = z.infer<typeof contents>;

const OTHERS_MAY_READ = 0o077;

export function contextsPath(configDir: string): string {
  return join(configDir, 'config.yaml');
}

/** @throws CliError where others may read it: it holds tokens. No file is no contexts. */
export function readContexts(configDir: string): Contexts {
  const path = contextsPath(configDir);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
    const { mode } = statSync(path);
    if (mode & OTHERS_MAY_READ)
      throw new CliError(`${path} holds access tokens, and others may read it (mode ${(mode & 0o777).toString(8)})`, {
        next: `chmod 600 ${path}, and let tokens be replaced that others may have seen.`,
      });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { contexts: {} };
    if (error instanceof CliError) throw error;
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parsed(path, text);
}

function parsed(path: string, text: string): Contexts {
  let value: unknown;
  try {
    value = parse(text) ?? {};
  } catch (error) {
    throw new CliError(`${path} is no YAML: ${(error as Error).message}`, { exit: 'usage', cause: error });
  }
  const result = contents.safeParse(value);
  if (result.success) return result.data;
  const lines = faultsOf(result.error).map(({ field, problem, expected }) =>
    [`${field}: ${problem}`, expected].filter(Boolean).join('; '),
  );
  throw new CliError(`${path} is not valid`, {
    exit: 'usage',
    lines,
    next: 'Correct it, or delete it and log in again.',
  });
}

/** Whole or not at all, and for this user's eyes only. */
export function writeContexts(configDir: string, contexts: Contexts): void {
  const path = contextsPath(configDir);
  const draft = `${path}.${process.pid}`;
  try {
    mkdirSync(configDir, { recursive: true, mode: 0o700 });
    writeFileSync(draft, stringify(contexts), { mode: 0o600, flush: true });
    chmodSync(draft, 0o600); // a draft of an ended process with this pid may have been another's to read
    renameSync(draft, path);
  } catch (error) {
    throw new CliError(`${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

/** @throws CliError with what is wrong about the name or the server */
export function checked(given: { name: string; server: string }): void {
  const result = z.object({ name, server }).safeParse(given);
  if (result.success) return;
  const lines = faultsOf(result.error).map(({ field, problem }) => `${field}: ${problem}`);
  throw new CliError('That is no context.', { exit: 'usage', lines });
}
