import { readFileSync } from 'node:fs';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { z } from 'zod';
import { type FieldFault, faultsOf } from './problem.js';

/** Everything that is wrong with a configuration, all at once. */
export class ConfigError extends Error {
  constructor(readonly faults: FieldFault[]) {
    super(
      `configuration: ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}\n${faults.map(faultLine).join('\n')}`,
    );
    this.name = 'ConfigError';
  }
}

function faultLine(fault: FieldFault): string {
  return `  ${fault.field}: ${fault.problem}${fault.expected ? `; ${fault.expected}` : ''}`;
}

/** What may be wrong with several settings together, or needs a look at the disk. */
export interface ConfigChecks<T> {
  /** names that belong to the other apps of the same environment, and are therefore not faults */
  others?: readonly string[];
  /** given the settings that are right by themselves */
  together?: (valid: Partial<T>) => FieldFault[];
}

/**
 * Reads one app's settings from environment variables and, below them, from the YAML file that `HELIO_CONFIG` names
 * (a flat map with the same names). Every fault is reported together: wrong values, missing ones, names that begin
 * like ours (`HELIO_`, `S3_`) but mean nothing, and what does not go together. A file that cannot be read is reported alone:
 * whatever seems to be missing may be in it.
 *
 * @param schema a zod object whose keys are the variables' names
 * @returns a frozen object
 * @throws ConfigError
 */
export function loadConfig<S extends z.ZodObject>(
  schema: S,
  env: Record<string, string | undefined>,
  { others = [], together }: ConfigChecks<z.infer<S>> = {},
): Readonly<z.infer<S>> {
  const known = new Set([...Object.keys(schema.shape), ...others, 'HELIO_CONFIG']);
  const faults: FieldFault[] = [];
  const given: Record<string, unknown> = readFile(env['HELIO_CONFIG'], known, faults);
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value === '') continue;
    if (name in schema.shape) given[name] = value;
    else if (/^(HELIO|S3)_/.test(name) && !known.has(name)) faults.push(unknownName(name, known));
  }
  const valid: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(schema.shape)) {
    const result = z.safeParse(setting, given[name]);
    if (result.success) valid[name] = result.data;
    else faults.push(...faultsOf(result.error, name));
  }
  faults.push(...(together?.(valid as Partial<z.infer<S>>) ?? []));
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(valid as z.infer<S>);
}

/** @throws ConfigError for a file without a map in it */
function readFile(path: string | undefined, known: Set<string>, faults: FieldFault[]): Record<string, unknown> {
  if (!path) return {};
  let parsed: unknown;
  try {
    parsed = parseYaml(readFileSync(path, 'utf8'));
  } catch (error) {
    const why =
      error instanceof YAMLParseError
        ? `is not YAML: ${error.message.split('\n')[0]}`
        : `cannot be read: ${String((error as Error).message)}`;
    throw new ConfigError([{ field: 'HELIO_CONFIG', problem: `the file ${path} ${why}` }]);
  }
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    const problem = `the file ${path} is not a map`;
    throw new ConfigError([{ field: 'HELIO_CONFIG', problem, expected: 'lines of the form NAME: value' }]);
  }
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(parsed)) {
    if (!known.has(name)) faults.push(unknownName(name, known));
    else settings[name] = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
  }
  return settings;
}

function unknownName(name: string, known: Set<string>): FieldFault {
  const near = [...known].find((candidate) => distance(candidate, name) <= 2);
  return { field: name, problem: 'is not a setting', expected: near ? `did you mean ${near}?` : 'unset it' };
}

/** Levenshtein distance, for "did you mean". */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      row.push(Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

/** A whole number given as text, within bounds; the message names them. */
export function intSetting(min: number, max: number): z.ZodType<number> {
  const expected = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^-?\d+$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected);
}

/** A TCP port, 0 for any free one. */
export const portSetting = intSetting(0, 65_535);

/** An absolute http(s) URL without a trailing slash. */
export const urlSetting = z
  .string()
  .refine((text) => /^https?:\/\/./.test(text) && URL.canParse(text), 'must be a URL like http://host:port')
  .transform((text) => text.replace(/\/+$/, ''));

/** Runs `load`, and on a ConfigError prints it and ends the process with exit code 2; anything else is thrown on. */
export async function loadOrExit<T>(app: string, load: () => T | Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${app}: ${error.message}\n`);
    process.exit(2);
  }
}
