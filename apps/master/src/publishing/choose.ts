import { TABLE } from '#model';
import { type Draft, draftChanges } from './draft.js';
import { type Entry, idOf } from './entries.js';
import { TooLarge } from './loaders.js';
import {
  entriesOf,
  type Marker,
  type Taken,
  takeMarkers,
  type Transactions,
  transactionsOf,
  withTouching,
} from './outbox.js';
import { NOTHING_READ, type Reading, readEntries } from './read-entries.js';
import type { Term } from './term.js';

/** How to go about a round. */
export interface Manner {
  /** see `readRows` */
  careful: boolean;
  /** entries that most likely have markers: what writes of this process said. Read at once, as far as there are any */
  marked: readonly Entry[];
}

/** What the next revision takes from the outbox, and what becomes of it. */
export interface Chosen extends Draft {
  markers: Marker[];
  /** transactions of which no marker is left */
  xids: string[];
  /** no visible marker is left */
  all: boolean;
  unseen: Transactions;
}

/**
 * More than these are taken only for the sake of whole transactions: a revocation should not wait behind seconds of work,
 * at a replica neither, which applies a revision at once; and there small revisions leave less of the disk unused.
 */
const MARKERS = 2_000;
/** Transactions that touched the same entries are taken together as long as they have no more than these. */
const TOGETHER = 60_000;

/**
 * Chooses transactions whose changes fit one revision, the oldest first.
 *
 * When all that is visible fits, the revision is a state that the database had. When it does not, transactions come
 * whole all the same: those are added that touched the same entries, since values are read as the last of them left them.
 *
 * What is left is one transaction beyond `LIMITS`. It comes in several revisions, each of them closed, and counts as
 * carried by the last. No endpoint writes such a thing; a repair may.
 *
 * @returns null when no marker waits
 */
export async function chooseChanges(term: Term, { careful, marked }: Manner): Promise<Chosen | null> {
  const { session, environment, unseen, known } = term;
  const likely = new Map(marked.flatMap((entry) => (entry.table === TABLE.release ? [] : [[idOf(entry), entry]])));
  const isAhead = likely.size > 0 && !careful; // careful: in small parts, each of them by itself
  const readAhead = isAhead ? readEntries(session, environment, [...likely.values()], careful) : NOTHING_READ;
  for (let limit = MARKERS; ; ) {
    const [taken, ahead] = await Promise.all([takeMarkers(session, environment, unseen, limit), readAhead]);
    if (taken.markers.length === 0) return null;
    const reading = { careful, ahead, known };
    try {
      return taken.all ? await chosenFrom(term, taken, reading) : await chosenTogether(term, taken, reading);
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      if (transactionsOf(taken).length === 1) return chosenPart(term, taken, reading);
      limit = Math.min(limit, taken.markers.length) >> 1;
    }
  }
}

async function chosenFrom({ session, environment }: Term, taken: Taken, reading: Reading): Promise<Chosen> {
  if (taken.cut) throw new TooLarge();
  const draft = await draftChanges(session, environment, entriesOf(taken.markers), taken.all, reading);
  return { ...draft, markers: taken.markers, xids: transactionsOf(taken), all: taken.all, unseen: taken.unseen };
}

/** Adds transactions that touched the same entries, and others that touched theirs, as long as it fits. */
async function chosenTogether(term: Term, first: Taken, reading: Reading): Promise<Chosen> {
  let chosen = await chosenFrom(term, first, reading);
  for (let taken: Taken | null = first; ; ) {
    const entries = new Map<string, Entry>([...taken.markers, ...chosen.changes].map((entry) => [idOf(entry), entry]));
    taken = await withTouching(term.session, term.environment, taken, [...entries.values()]);
    if (!taken || taken.markers.length > TOGETHER) return chosen;
    try {
      chosen = await chosenFrom(term, taken, reading);
    } catch (error) {
      if (error instanceof TooLarge) return chosen;
      throw error;
    }
  }
}

/** As many of the first transaction's entries as fit: half of them, or half of that, and so on. */
async function chosenPart({ session, environment }: Term, taken: Taken, reading: Reading): Promise<Chosen> {
  const entries = entriesOf(taken.markers);
  for (let count = entries.length >> 1; ; count >>= 1) {
    const part = entries.slice(0, Math.max(count, 1));
    const names = new Set(part.map(idOf));
    const markers = taken.markers.filter((marker) => names.has(idOf(marker)));
    try {
      const draft = await draftChanges(session, environment, part, false, reading);
      return { ...draft, markers, xids: [], all: false, unseen: taken.unseen };
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      if (count === 0) {
        const unusable = part.map((entry) => ({ entry, problem: 'it and what it refers to do not fit one revision' }));
        return { changes: [], postponed: [], unusable, markers, xids: [], all: false, unseen: taken.unseen };
      }
    }
  }
}
