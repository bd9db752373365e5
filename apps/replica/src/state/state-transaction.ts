import type { StateRoot } from '#artifacts';
import { encodeHeld } from './held-entry.js';
import type { HeldChange } from './quarantine.js';
import { readPosition, type StateTables, writePosition } from './state-database.js';
import { bucketName, deltaName, encodeNames, type StoredPosition, touchedName } from './state-layout.js';

/** Kept so that workers can tell what changed, and for peers; older ones come from the store. */
const KEPT_DELTAS = 1024;
const KEPT_DELTA_BYTES = 16 * 1024 * 1024;

/** Which revision the state is brought to. */
export interface Target {
  epoch: number;
  revision: number;
  /** 32 bytes each */
  hash: Uint8Array;
  root: Uint8Array;
  /** milliseconds since 1970, by the master's clock */
  issuedAt: number;
}

/** By itself: in a message between threads a view of something larger carries all of it. */
export function ownTarget({ epoch, hash, issuedAt, revision, root }: Target): Target {
  return { epoch, revision, hash: new Uint8Array(hash), root: new Uint8Array(root), issuedAt };
}

export interface StateChange {
  target: Target;
  /** writes the entries; everything else is written here */
  entries: () => void;
  /** names of entries that it writes, as far as held ones may be among them; `touched` of its delta names the others */
  names: ReadonlySet<string>;
  held: readonly HeldChange[];
  /** after the change */
  root: StateRoot;
  /** whose sums changed */
  buckets: Iterable<number>;
  /** the exact bytes of the one revision that it is; null for a jump over several: then no delta is kept */
  delta: Uint8Array | null;
  /** what it was prepared on */
  before: Readonly<StoredPosition>;
  appliedAt: number;
}

/**
 * Does everything that `work` writes in one transaction, on the disk when it returns; what is read meanwhile is what was
 * written by then. It is synchronous to the commit: lmdb's asynchronous transactions answer a full disk with a rejection
 * that is not the caller's, and keep half of what a callback wrote before it threw.
 *
 * @param before where the state has to stand
 * @throws Error of the disk, or what `work` threw; nothing was written then
 */
export function inTransaction<T>(tables: StateTables, before: Readonly<StoredPosition>, work: () => T): T {
  return tables.root.transactionSync(() => {
    requireUnmoved(tables, before);
    return work();
  });
}

/** Writes a whole change, in a transaction. */
export function writeChange(tables: StateTables, change: StateChange): StoredPosition {
  change.entries();
  putHeld(tables, change.held);
  for (const bucket of change.buckets) tables.sums.putSync(bucketName(bucket), change.root.sum(bucket));
  const position = change.delta === null ? dropDeltas(tables, change) : keepDelta(tables, change, change.delta);
  writePosition(tables, position);
  return position;
}

/** To be called in a transaction. */
export function putHeld(tables: StateTables, changes: readonly HeldChange[]): void {
  for (const { name, held } of changes) {
    if (held === null) tables.held.removeSync(name);
    else tables.held.putSync(name, encodeHeld(held));
  }
}

/** Inside the transaction, where nobody else can write: the lock of the directory does not reach across containers. */
function requireUnmoved(tables: StateTables, { epoch, revision, hash }: Readonly<StoredPosition>): void {
  const now = readPosition(tables);
  if (now.epoch === epoch && now.revision === revision && now.hash === hash) return;
  throw new Error(
    'another process has applied revisions to this state directory; give each replica its own HELIO_STATE_DIR, and restart this one',
  );
}

function keepDelta(tables: StateTables, change: StateChange, bytes: Uint8Array): StoredPosition {
  const { deltas } = tables;
  const { revision } = change.target;
  let { firstDelta, deltaBytes } = change.before;
  deltas.putSync(deltaName(revision), Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const touched = change.held.map(({ name }) => name).filter((name) => !change.names.has(name.toString('latin1')));
  if (touched.length > 0) deltas.putSync(touchedName(revision), encodeNames(touched));
  deltaBytes += bytes.length;
  while (firstDelta <= revision && (revision - firstDelta >= KEPT_DELTAS || deltaBytes > KEPT_DELTA_BYTES)) {
    deltaBytes -= deltas.get(deltaName(firstDelta))?.length ?? 0;
    deltas.removeSync(deltaName(firstDelta));
    deltas.removeSync(touchedName(firstDelta));
    firstDelta += 1;
  }
  return positionOf(change, firstDelta, deltaBytes);
}

/** A row of deltas with a hole in it would tell readers too little: after a jump they load everything anew. */
function dropDeltas(tables: StateTables, change: StateChange): StoredPosition {
  const names = Array.from(tables.deltas.getKeys({})); // first all, for a cursor does not outlive what it points at
  for (const name of names) tables.deltas.removeSync(name);
  return positionOf(change, change.target.revision + 1, 0);
}

function positionOf(
  { appliedAt, before, target }: StateChange,
  firstDelta: number,
  deltaBytes: number,
): StoredPosition {
  return {
    environment: before.environment,
    epoch: target.epoch,
    revision: target.revision,
    hash: Buffer.from(target.hash).toString('hex'),
    root: Buffer.from(target.root).toString('hex'),
    issuedAt: target.issuedAt,
    appliedAt,
    firstDelta,
    deltaBytes,
    // a change that leads to where the state was mends it
    repairs: before.repairs + (target.revision === before.revision ? 1 : 0),
  };
}
