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
import type { Term } from './term.js';

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
 * @param careful see `readRows`
 * @returns null when no marker waits
 */
export async function chooseChanges(term: Term, careful: boolean): Promise<Chosen | null> {
  const { session, environment, unseen } = term;
  for (let limit = MARKERS; ; ) {
    const taken = await takeMarkers(session, environment, unseen, limit);
    if (taken.markers.length === 0) return null;
    try {
      return taken.all ? await chosenFrom(term, taken, careful) : await chosenTogether(term, taken, careful);
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      if (transactionsOf(taken).length === 1) return chosenPart(term, taken, careful);
      limit = Math.min(limit, taken.markers.length) >> 1;
    }
  }
}

async function chosenFrom({ session, environment }: Term, taken: Taken, careful: boolean): Promise<Chosen> {
  if (taken.cut) throw new TooLarge();
  const draft = await draftChanges(session, environment, entriesOf(taken.markers), taken.all, careful);
  return { ...draft, markers: taken.markers, xids: transactionsOf(taken), all: taken.all, unseen: taken.unseen };
}

/** Adds transactions that touched the same entries, and others that touched theirs, as long as it fits. */
async function chosenTogether(term: Term, first: Taken, careful: boolean): Promise<Chosen> {
  let chosen = await chosenFrom(term, first, careful);
  for (let taken: Taken | null = first; ; ) {
    const entries = new Map<string, Entry>([...taken.markers, ...chosen.changes].map((entry) => [idOf(entry), entry]));
    taken = await withTouching(term.session, term.environment, taken, [...entries.values()]);
    if (!taken || taken.markers.length > TOGETHER) return chosen;
    try {
      chosen = await chosenFrom(term, taken, careful);
    } catch (error) {
      if (error instanceof TooLarge) return chosen;
      throw error;
    }
  }
}

/** As many of the first transaction's entries as fit: half of them, or half of that, and so on. */
async function chosenPart({ session, environment }: Term, taken: Taken, careful: boolean): Promise<Chosen> {
  const entries = entriesOf(taken.markers);
  for (let count = entries.length >> 1; ; count >>= 1) {
    const part = entries.slice(0, Math.max(count, 1));
    const names = new Set(part.map(idOf));
    const markers = taken.markers.filter((marker) => names.has(idOf(marker)));
    try {
      const draft = await draftChanges(session, environment, part, false, careful);
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
