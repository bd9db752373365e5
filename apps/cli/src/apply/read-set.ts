import { resolve } from 'node:path';
import type { Environment } from '../config/environment.js';
import { CliError } from '../exit.js';
import { resolved, type Resolving } from './references.js';
import { inDirectoryOf, isObject, parseYaml, readText, readYaml, type YamlDocument } from './yaml-files.js';

/** What is sent, and what people need to know about it. */
export interface DocumentSet {
  documents: unknown[];
  /** `shop.yaml:12:3` of a pointer into the request, and what it leads to in that file; undefined of what no file has */
  placeOf: (pointer: string) => string | undefined;
  /** `weather.yaml:12:3` of a line of an OpenAPI document's file: where that begins */
  lineOf: (pointer: string, line: number) => string | undefined;
  /** texts of references: not to be shown */
  secrets: ReadonlySet<string>;
  /** what is wrong with documents before the master has seen them: it gets null, or nothing, in these places */
  faults: { place: string; problem: string }[];
}

interface Loaded {
  document: YamlDocument;
  value: unknown;
  definition?: YamlDocument;
  openapi?: { file: string; text: string };
}

/**
 * Reads documents, with the files that they name, and puts in what their references stand for. Files that are named by
 * `definition` or `openapi` are no documents themselves, wherever they stand.
 *
 * @throws CliError with each fault of what cannot be read
 */
export async function readSet(
  paths: readonly string[],
  input: () => Promise<Uint8Array>,
  { env, prune }: { env: Environment['all']; prune: boolean },
): Promise<DocumentSet> {
  const read = await readYaml(paths, input, prune);
  const named = new Set(read.flatMap((document) => namedBy(document).map(({ path }) => resolve(path))));
  const faults: DocumentSet['faults'] = [];
  const secrets = new Set<string>();
  const fault: Resolving['fault'] = (document, pointer, problem) =>
    void faults.push({ place: document.placeOf(pointer), problem });
  const loaded = read
    .filter(({ file }) => !named.has(resolve(file)))
    .map((document) => load(document, { env, secrets, fault }));
  if (prune && loaded.length === 0)
    throw new CliError('There is no document, and --prune deletes what is in none', {
      exit: 'usage',
      next: 'What is to go altogether is deleted by hand: `helio plan delete`, `helio api delete` and so on.',
    });
  return { documents: loaded.map(({ value }) => value), ...places(loaded), secrets, faults };
}

const SOURCES = ['definition', 'openapi'] as const;

function namedBy({ file, value }: YamlDocument): { field: (typeof SOURCES)[number]; path: string }[] {
  if (!isObject(value) || value.kind !== 'api') return [];
  return SOURCES.flatMap((field) => {
    const path = value[field];
    return typeof path === 'string' ? [{ field, path: inDirectoryOf(file, path) }] : [];
  });
}

function load(document: YamlDocument, resolving: Resolving): Loaded {
  const { fault } = resolving;
  const value = resolved(document, resolving);
  const loaded: Loaded = { document, value };
  if (!isObject(value) || !isObject(document.value)) return loaded;
  if (typeof document.value.secret === 'string') {
    fault(document, '/secret', 'a secret does not stand in a file: { env: NAME } or { file: path } refers to it');
    delete value.secret;
  }
  for (const { field, path } of namedBy(document)) {
    try {
      const text = readText(path);
      if (field === 'openapi') {
        loaded.openapi = { file: path, text };
        value.openapi = text;
        continue;
      }
      const faults: string[] = [];
      const [definition, ...more] = parseYaml(path, text, faults);
      if (faults.length > 0) throw new Error(faults.join('; '));
      if (!definition || more.length > 0) throw new Error(`${path} has not exactly one document`);
      loaded.definition = definition;
      value.definition = resolved(definition, resolving);
    } catch (error) {
      fault(document, `/${field}`, (error as Error).message);
      value[field] = null;
    }
  }
  return loaded;
}

function places(loaded: readonly Loaded[]): Pick<DocumentSet, 'placeOf' | 'lineOf'> {
  const find = (pointer: string): { one: Loaded; rest: string } | undefined => {
    const [, index, rest = ''] = /^\/documents\/(\d+)(.*)$/s.exec(pointer) ?? [];
    const one = loaded[Number(index)];
    return one && { one, rest };
  };
  return {
    placeOf: (pointer) => {
      const { one, rest } = find(pointer) ?? {};
      if (!one || rest === undefined) return undefined;
      const inFile = /^\/definition(\/.*)$/s.exec(rest)?.[1];
      return one.definition && inFile ? one.definition.placeOf(inFile) : one.document.placeOf(rest);
    },
    lineOf: (pointer, line) => {
      const { file, text = '' } = find(pointer)?.one.openapi ?? {};
      const column = (text.split('\n', line).at(line - 1) ?? '').search(/\S/) + 1;
      return file && `${file}:${line}:${Math.max(1, column)}`;
    },
  };
}
