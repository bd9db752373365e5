import { Notes, type Note } from '../source/notes.js';
import { Part } from '../source/part.js';
import { readText, type SourceText } from '../source/read-text.js';
import type { ApiDocument } from './api-draft.js';
import type { Plan } from './limits.js';

/** A line of `POST /v1/import`. Of keys there is never more than their hash. */
export type ImportLine =
  | { kind: 'application'; id: string; name: string }
  | { kind: 'subscription'; application: string; api: string; plan: string }
  | {
      kind: 'key';
      application: string;
      environment: string;
      sha256: string;
      scopes?: string[];
      ips?: string[];
      expiresAt?: string;
    };

export interface Converted {
  apis: ApiDocument[];
  plans: Plan[];
  /** applications first, then their subscriptions and keys */
  lines: ImportLine[];
  notes: Note[];
}

/** @param environment of the keys */
export type Convert = (sources: readonly SourceText[], environment: string) => Converted;

export interface SourceFile {
  name: string;
  root: Part;
}

/** Reads the files, converts them together, and gathers what is to be said about each. A file that cannot be read is a note, too. */
export function convertFiles(
  sources: readonly SourceText[],
  convert: (files: readonly SourceFile[]) => Omit<Converted, 'notes'>,
  prepare: (value: unknown) => unknown = (value) => value,
): Converted {
  const unreadable: Note[] = [];
  const files = sources.flatMap(({ name, text }) => {
    const read = readText(text);
    if (read.ok) {
      const notes = new Notes(name);
      return [{ name, notes, lineOf: read.lineOf, root: Part.root(notes, prepare(read.value)) }];
    }
    const todo = 'mend the file and convert it again';
    unreadable.push({ kind: 'lost', file: name, where: '(whole)', line: read.line ?? null, why: read.problem, todo });
    return [];
  });
  const converted = convert(files);
  for (const { root } of files) root.reportUnread();
  return { ...converted, notes: [...unreadable, ...files.flatMap(({ notes, lineOf }) => notes.list(lineOf))] };
}
