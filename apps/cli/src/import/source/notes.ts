import type { Place, ReadText } from './read-text.js';

/**
 * - `lost`: has no counterpart, and is left out
 * - `changed`: is carried over, and behaves in another way
 * - `closed`: kept callers out and has no counterpart: what it protected lets nobody in until somebody decides
 */
export type NoteKind = 'lost' | 'changed' | 'closed';

export interface Note {
  kind: NoteKind;
  file: string;
  /** where in the file, in words */
  where: string;
  line: number | null;
  why: string;
  todo: string;
}

interface Entry extends Omit<Note, 'line'> {
  place: Place;
}

/** What is to be said about one file, each thing once. */
export class Notes {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly file: string) {}

  add(kind: NoteKind, part: { place: Place; label: string }, why: string, todo: string): void {
    const key = JSON.stringify([part.place, why]);
    if (this.entries.has(key)) return;
    const where = part.label === '' ? '(whole)' : part.label;
    this.entries.set(key, { kind, file: this.file, where, why, todo, place: part.place });
  }

  /** In the order of the file. What was left out as a whole is not different. */
  list(lineOf: (ReadText & { ok: true })['lineOf']): Note[] {
    const lost = [...this.entries.values()].filter(({ kind }) => kind === 'lost');
    const isLeftOut = ({ place }: Entry): boolean =>
      lost.some((one) => one.place.length < place.length && one.place.every((step, at) => step === place[at]));
    return [...this.entries.values()]
      .filter((one) => one.kind !== 'changed' || !isLeftOut(one))
      .map(({ place, ...note }) => ({ ...note, line: lineOf(place) ?? null }))
      .sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  }
}
