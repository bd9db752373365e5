import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { type Document, isNode, LineCounter, parseAllDocuments } from 'yaml';
import { isTooDeep } from '../depth.js';
import { CliError } from '../exit.js';

/** A document of a file, and where things stand in it. */
export interface YamlDocument {
  /** as it was named: for messages */
  file: string;
  value: unknown;
  /** `shop.yaml:12:3` of what a JSON pointer leads to, or of the nearest that is there */
  placeOf: (pointer: string) => string;
}

/** Of one document: what comes after the first few comes of them. */
const MOST_FAULTS = 20;
const INPUT = '(standard input)';
const YAML_FILE = /\.(ya?ml|json)$/i;

/**
 * Documents of files, and of directories with all that is in them, in the order of their names; `-` is what `input` reads.
 *
 * @param prune what is not there is deleted: a path in which there is nothing is taken for a mistake
 * @throws CliError with each fault of each file
 */
export async function readYaml(
  paths: readonly string[],
  input: () => Promise<Uint8Array>,
  prune: boolean,
): Promise<YamlDocument[]> {
  const faults: string[] = [];
  const documents: YamlDocument[] = [];
  const add = (file: string, read: () => string): void => {
    try {
      documents.push(...parseYaml(file, read(), faults));
    } catch (error) {
      faults.push((error as Error).message);
    }
  };
  for (const path of paths) {
    const before = documents.length + faults.length;
    if (path === '-') {
      const bytes = await input();
      add(INPUT, () => decoded(INPUT, bytes));
    } else for (const file of filesIn(path, faults)) add(file, () => readText(file));
    if (prune && documents.length + faults.length === before)
      faults.push(`${path === '-' ? INPUT : path} has no document in it, and --prune deletes what is in none`);
  }
  if (faults.length > 0)
    throw new CliError('Not all documents can be read:', {
      exit: 'usage',
      lines: faults,
      next: 'Mend these files, or leave them out; nothing was sent.',
    });
  return documents;
}

/** @throws CliError where it cannot be read */
export function readText(file: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`, { exit: 'usage', cause: error });
  }
  return decoded(file, bytes);
}

function decoded(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CliError(`${file} is not UTF-8: save it as that`, { exit: 'usage', cause: error });
  }
}

/** @param faults what is wrong goes here, a line each */
export function parseYaml(file: string, text: string, faults: string[]): YamlDocument[] {
  const lines = new LineCounter();
  try {
    // what is no text as a key has no name in a request
    const parsed = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      stringKeys: true,
      logLevel: 'silent',
    });
    const documents: readonly Document[] = 'empty' in parsed ? [] : parsed;
    return documents.flatMap((document) => {
      // a warning is a tag that nobody knows, or the like: what is meant by it would be lost
      const wrong = [...document.errors, ...document.warnings];
      if (wrong.some(({ message }) => message.startsWith('Maximum call stack size'))) throw new RangeError();
      for (const { message, pos } of wrong.slice(0, MOST_FAULTS))
        faults.push(`${placeAt(file, lines, pos[0])}: ${message}`);
      if (wrong.length > 0 || document.contents === null) return [];
      const value: unknown = document.toJS();
      if (isTooDeep(value)) throw new RangeError();
      return [{ file, value, placeOf: placesIn(file, document, lines) }];
    });
  } catch (error) {
    // the parser goes into itself for each level, and refuses more aliases than anybody writes by an exception
    faults.push(`${file}: ${error instanceof RangeError ? 'is nested too deeply' : (error as Error).message}`);
    return [];
  }
}

/** Links are followed: a document that is left out without a word would be pruned. */
function filesIn(path: string, faults: string[], within: readonly string[] = []): string[] {
  try {
    const found = statSync(path);
    if (!found.isDirectory()) {
      if (within.length === 0) return [path]; // a pipe, too, where it is named
      if (!YAML_FILE.test(path)) return [];
      if (found.isFile()) return [path];
      throw new Error('it is neither a file nor a directory');
    }
    const real = realpathSync(path);
    if (within.includes(real)) throw new Error(`it is a link to ${real}, which it is in itself`);
    return readdirSync(path)
      .filter((name) => !name.startsWith('.'))
      .sort((a, b) => (a < b ? -1 : 1))
      .flatMap((name) => filesIn(join(path, name), faults, [...within, real]));
  } catch (error) {
    faults.push(`${path} cannot be read: ${(error as Error).message}`);
    return [];
  }
}

function placesIn(file: string, document: Document, lines: LineCounter): YamlDocument['placeOf'] {
  return (pointer) => {
    const parts = pointer
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    for (let length = parts.length; length > 0; length--) {
      const found = document.getIn(parts.slice(0, length), true);
      if (isNode(found) && found.range) return placeAt(file, lines, found.range[0]);
    }
    const { contents } = document;
    return isNode(contents) && contents.range ? placeAt(file, lines, contents.range[0]) : file;
  };
}

function placeAt(file: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset);
  return `${file}:${line}:${col}`;
}

/** A path is from where the file stands that names it. */
export function inDirectoryOf(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
