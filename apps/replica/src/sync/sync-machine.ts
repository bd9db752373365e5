import type { SyncState } from '#model';

/** What is wrong, for the status. */
export interface SyncFault {
  code: string;
  detail: string;
  /** milliseconds since 1970: since when it has been like this */
  at: number;
}

/** What can be wrong at a time, each ended by its own good thing: an answer, a head, a revision. */
export type SyncFaults = Readonly<Record<'source' | 'head' | 'revision', SyncFault | null>>;

export interface Sync {
  state: SyncState;
  /** the newest one that was applied; 0: none */
  revision: number;
  /** the newest one that a verified head named */
  head: number;
  faults: SyncFaults;
  /** how many times in a row the next revision could not be had or applied */
  refusals: number;
}

export type SyncEvent =
  | { kind: 'booted'; revision: number; head: number }
  /** a verified head that is not behind the newest one, or the same as before */
  | { kind: 'head-seen'; head: number }
  | { kind: 'head-refused'; code: string; detail: string }
  /** the source did not answer, or has nothing */
  | { kind: 'source-failed'; code: string; detail: string }
  | { kind: 'revision-fetched' }
  | { kind: 'revision-applied'; revision: number }
  /** it is missing, or not what it should be, or this disk does not take it */
  | { kind: 'revision-refused'; code: string; detail: string }
  /** a wait has ended */
  | { kind: 'tick' };

/** What to do next; exactly one thing at a time, and its outcome is the next event. */
export type SyncEffect =
  | { kind: 'fetch-head' }
  /** `until`: more will be asked for, up to this one */
  | { kind: 'fetch-revision'; revision: number; until: number }
  | { kind: 'apply'; revision: number }
  | { kind: 'wait'; ms: number };

export interface Step {
  sync: Sync;
  effect: SyncEffect;
}

const NO_FAULTS: SyncFaults = { source: null, head: null, revision: null };
export const BEGINNING: Sync = { state: 'booting', revision: 0, head: 0, faults: NO_FAULTS, refusals: 0 };

/** Asking again for what was refused costs up to a whole revision: it gets slower. */
const MAX_RETRY_MS = 30_000;

/**
 * The whole behaviour of a follower, for any state and event.
 *
 * @param now milliseconds since 1970
 * @param pollMs between two looks at the head
 */
export function transition(sync: Sync, event: SyncEvent, now: number, pollMs: number): Step {
  switch (event.kind) {
    case 'booted':
      return { sync: { ...BEGINNING, revision: event.revision, head: event.head }, effect: { kind: 'fetch-head' } };
    case 'head-seen':
      // A source that has a head may still not have the revision: that it answers is proven by the next one applied.
      return goOn(over({ ...sync, head: event.head }, 'head'), pollMs);
    case 'head-refused': {
      const refused = wrong(sync, 'head', event, now);
      // What an earlier head named is still to be had.
      return sync.head > sync.revision ? fetchNext(refused) : waitIn('isolated', refused, pollMs);
    }
    case 'source-failed':
      return waitIn('isolated', wrong(sync, 'source', event, now), pollMs);
    case 'revision-fetched':
      return { sync, effect: { kind: 'apply', revision: sync.revision + 1 } };
    case 'revision-applied': {
      const state = sync.state === 'live' ? 'live' : 'catching-up';
      const { revision } = event;
      const applied: Sync = { ...sync, state, revision, head: Math.max(sync.head, revision), refusals: 0 };
      return goOn(over(applied, 'source', 'revision'), pollMs);
    }
    case 'revision-refused': {
      const refused = { ...wrong(sync, 'revision', event, now), refusals: sync.refusals + 1 };
      // Only another build helps, which begins anew; it is looked at again all the same, for it may be replaced.
      if (event.code === 'reader_too_old') return waitIn('halted', refused, MAX_RETRY_MS);
      return waitIn('catching-up', refused, Math.min(MAX_RETRY_MS, pollMs * 2 ** Math.min(sync.refusals, 20)));
    }
    case 'tick':
      return { sync, effect: { kind: 'fetch-head' } };
  }
}

/** The newest of what is wrong. */
export function lastFault({ faults }: Sync): SyncFault | null {
  const all = [faults.source, faults.head, faults.revision].filter((fault) => fault !== null);
  return all.sort((a, b) => b.at - a.at)[0] ?? null;
}

function goOn(sync: Sync, pollMs: number): Step {
  if (sync.head > sync.revision) return fetchNext(sync);
  // Nothing is left to apply: what was in the way of that is over. A head that was refused stays refused.
  const level = over({ ...sync, refusals: 0 }, 'source', 'revision');
  return waitIn(sync.state === 'live' ? 'live' : 'polling', level, pollMs, true);
}

function fetchNext(sync: Sync): Step {
  const effect: SyncEffect = { kind: 'fetch-revision', revision: sync.revision + 1, until: sync.head };
  return { sync: { ...sync, state: sync.state === 'halted' ? 'halted' : 'catching-up' }, effect };
}

/** Whoever is halted stays so until a revision is applied, or there is none to apply (`free`). */
function waitIn(state: SyncState, sync: Sync, ms: number, free = false): Step {
  return {
    sync: { ...sync, state: sync.state === 'halted' && !free ? 'halted' : state },
    effect: { kind: 'wait', ms },
  };
}

function over(sync: Sync, ...abouts: (keyof SyncFaults)[]): Sync {
  if (abouts.every((about) => sync.faults[about] === null)) return sync;
  return { ...sync, faults: { ...sync.faults, ...Object.fromEntries(abouts.map((about) => [about, null])) } };
}

/** The same fault as before keeps its time. */
function wrong(
  sync: Sync,
  about: keyof SyncFaults,
  { code, detail }: { code: string; detail: string },
  now: number,
): Sync {
  const before = sync.faults[about];
  if (before?.code === code && before.detail === detail) return sync;
  return { ...sync, faults: { ...sync.faults, [about]: { code, detail, at: now } } };
}
