import { type KnownEntries, publishedValues } from './chain-entries.js';
import { type Entry, idOf } from './entries.js';
import type { Loaded } from './loaded.js';
import { readRows } from './read-rows.js';
import type { Session } from './session.js';

/** What the chain and the rows say of some entries, in one snapshot; each by `idOf`. */
export interface ReadEntries {
  /** which they are */
  ids: ReadonlySet<string>;
  before: ReadonlyMap<string, Buffer>;
  loaded: ReadonlyMap<string, Loaded>;
}

/** How a round reads. */
export interface Reading {
  /** see `readRows` */
  careful: boolean;
  /** read before it was known which markers wait, to save a round trip */
  ahead: ReadEntries;
  known: KnownEntries;
}

export const NOTHING_READ: ReadEntries = { ids: new Set(), before: new Map(), loaded: new Map() };

/** @throws as `readRows` */
export async function readEntries(
  session: Session,
  environment: string,
  entries: readonly Entry[],
  careful: boolean,
): Promise<ReadEntries> {
  const [before, loaded] = await Promise.all([
    publishedValues(session, environment, entries),
    readRows(session, environment, entries, careful),
  ]);
  return { ids: new Set(entries.map(idOf)), before, loaded };
}
