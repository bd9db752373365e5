import type { SyncState } from '#model';

/** What is wrong, for the status. */
export interface SyncFault {
  code: string;
  detail: string;
  /** milliseconds since 1970: since when it has been like this */
  at: number;
}

/** What can be wrong at a time; each is ended by its own good thing. Sources are numbered in the order of preference. */
export type FaultKey = 'stream' | 'revision' | 'state' | `source ${number}` | `head ${number}`;
export type SyncFaults = Readonly<Partial<Record<FaultKey, SyncFault>>>;

/** Where something came from: a pull source, or the stream. */
export type Origin = number | 'stream';

/** One pull source, as far as it matters for what is asked next. */
export interface SourceSync {
  /** to the last question; null: never asked */
  answers: boolean | null;
  /** in a row; what it gave and was refused counts */
  failures: number;
  /** not before these times is it asked again: for its head, for revisions */
  lookAt: number;
  fetchAt: number;
  /** it does not keep the next revision by itself any more: a segment or snapshot may carry it */
  jumps: boolean;
}

/**
 * `none`: there is no master to stream from; `down`; `asked`: connected, and told where this replica stands;
 * `following`: revisions come without a gap; `elsewhere`: the master has told to get the state from other sources;
 * `lost`: the thread was lost, it has to be asked anew; `bad`: to be given up for another master.
 */
export type Link = 'none' | 'down' | 'asked' | 'following' | 'elsewhere' | 'lost' | 'bad';

export interface StreamSync {
  link: Link;
  /** revisions that have come and were not taken yet */
  waiting: number;
  /** of revisions that it gave, in a row */
  refusals: number;
  /** when it was asked, last brought something, or something became due */
  movedAt: number;
  /** where this replica stood when it asked: what comes begins after it */
  askedAt: number;
  /** why it is given up, and for how long that master is left alone */
  drop: { code: string; detail: string; holdMs: number } | null;
}

export interface Sync {
  state: SyncState;
  /** milliseconds since 1970: of `state` */
  since: number;
  /** the newest one that was applied; 0: none */
  revision: number;
  /** the newest one that a verified head named */
  head: number;
  sources: readonly SourceSync[];
  stream: StreamSync;
  /** where the revisions came from that lie ready to be applied */
  hand: Origin | null;
  /** not before this time does this disk get another try */
  applyAt: number;
  applyFailures: number;
  /** when a look at the head is due */
  lookAt: number;
  /** a source whose head is signed by a key that may become trusted with the revisions before it */
  probing: number | null;
  /** whether the state on this disk is what it should be: `suspected` after a revision that did not give the right root */
  damage: 'none' | 'suspected' | 'excluded';
  /** damage that was found while nothing depended on it: how often it was tried to mend it, and not before which time again */
  mend: { tries: number; at: number } | null;
  faults: SyncFaults;
}

export interface Fault {
  code: string;
  detail: string;
}

export type SyncEvent =
  | { kind: 'booted'; revision: number; head: number; sources: number; streams: boolean }
  /** a verified head, whether or not it says anything new. `fresh`: it has not expired */
  | { kind: 'head-seen'; source: Origin; head: number; fresh: boolean }
  | ({ kind: 'head-refused'; source: number } & Fault)
  /** it did not answer, or has nothing */
  | ({ kind: 'source-failed'; source: number } & Fault)
  /** so many, one after the other; the first is the one after the newest that was applied */
  | { kind: 'revision-fetched'; source: Origin; revisions: number }
  /** the last of those at hand that were applied together; `left`: so many are still to be applied */
  | { kind: 'revision-applied'; revision: number; left: number }
  /** the first of those at hand: it is missing, or not what it should be, or this disk does not take it */
  /** `decided`: it is of a fork, and a newer term has chosen between the two: the way to its head leads past it */
  | ({ kind: 'revision-refused'; source: Origin; decided?: boolean } & Fault)
  /** the state was brought to a revision by segments or a snapshot */
  | { kind: 'caught-up'; source: number; revision: number }
  /** the state was compared with a snapshot; `damaged` parts of it were replaced */
  | { kind: 'repaired'; source: number; revision: number; damaged: number }
  /** what is stored does not add up; nobody has asked for it */
  | { kind: 'damage-found'; buckets: number }
  | { kind: 'mended'; source: number; revision: number }
  | ({ kind: 'mend-failed' } & Fault)
  /** connected, and told that this replica stands at `revision` */
  | { kind: 'stream-up'; revision: number }
  /** `fault`: why the master cannot serve this replica */
  | { kind: 'stream-intent'; intent: 'none' | 'changes' | 'full'; head: number; fault: Fault | null }
  /** `waiting`: so many revisions lie there now */
  | { kind: 'stream-pushed'; waiting: number }
  /** what it said is not acceptable */
  | ({ kind: 'stream-refused' } & Fault)
  | ({ kind: 'stream-down' } & Fault)
  /** it was told anew where this replica stands */
  | { kind: 'refollowed'; revision: number }
  /** a question was given up for what the stream has brought */
  | { kind: 'interrupted'; source: number }
  /** a wait has ended */
  | { kind: 'tick' };

/** What to do next; exactly one thing at a time, and its outcome is the next event. */
export type SyncEffect =
  | { kind: 'fetch-head'; source: number }
  /** `until`: more will be asked for, up to this one */
  | { kind: 'fetch-revision'; source: number; revision: number; until: number }
  | { kind: 'catch-up'; source: number; until: number }
  | { kind: 'repair'; source: number }
  /** the same, while following goes on: it must not take long */
  | { kind: 'mend'; source: number }
  | { kind: 'take-pushed' }
  /** `revision`, and those at hand after it */
  | { kind: 'apply'; revision: number }
  | { kind: 'refollow' }
  | { kind: 'drop-stream'; code: string; detail: string; holdMs: number }
  /** what the stream brings ends it early */
  | { kind: 'wait'; ms: number };

export interface Step {
  sync: Sync;
  effect: SyncEffect;
}

export interface SyncTimes {
  /** between two looks at the head without a stream, and with one */
  pollMs: number;
  streamPollMs: number;
}

export interface Moment {
  /** milliseconds since 1970, of a clock that is never set back */
  now: number;
  /** in [0, 1) */
  random: number;
  /**
   * The newest one that was applied, as the disk has it: further than any event has said after a way that ended half-way, or
   * after a write whose answer was lost.
   */
  revision: number;
}

export const STREAM_BEGINNING: StreamSync = {
  link: 'none',
  waiting: 0,
  refusals: 0,
  movedAt: 0,
  askedAt: 0,
  drop: null,
};
export const BEGINNING: Sync = {
  state: 'booting',
  since: 0,
  revision: 0,
  head: 0,
  sources: [],
  stream: STREAM_BEGINNING,
  hand: null,
  applyAt: 0,
  applyFailures: 0,
  lookAt: 0,
  probing: null,
  damage: 'none',
  mend: null,
  faults: {},
};

/** What is no farther away is fetched revision by revision, and more by segments or a snapshot. */
export const NEAR = 64;
