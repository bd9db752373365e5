import type { StateRoot, VerifiedRevision } from '#artifacts';
import type { Op } from '#model';
import { encodeHeld } from './held-entry.js';
import type { HeldChange } from './quarantine.js';
import { readPosition, type StateTables } from './state-database.js';
import {
  bucketName,
  deltaName,
  encodeNames,
  entryName,
  META,
  type StoredPosition,
  touchedName,
} from './state-layout.js';

/** Kept so that workers can tell what changed, and for peers; older ones come from the store. */
const KEPT_DELTAS = 1024;
const KEPT_DELTA_BYTES = 16 * 1024 * 1024;

export interface RevisionWrite {
  revision: VerifiedRevision;
  ops: readonly Op[];
  held: readonly HeldChange[];
  /** after the ops */
  root: StateRoot;
  /** whose sums changed */
  buckets: ReadonlySet<number>;
  /** what the ops were prepared on */
  before: Readonly<StoredPosition>;
  appliedAt: number;
}

/**
 * Writes a whole revision in one transaction, on the disk when it returns. It is synchronous to the commit: lmdb's
 * asynchronous transactions answer a full disk with a rejection that is not the caller's, and keep half of what a
 * callback wrote before it threw.
 *
 * @throws Error of the disk; nothing was written then
 */
export function writeRevision(tables: StateTables, write: RevisionWrite): StoredPosition {
  const { buckets, held, ops, root } = write;
  // Workers that were killed leave their readers behind, and these keep old pages from being used again.
  tables.root.readerCheck();
  return tables.root.transactionSync(() => {
    requireUnmoved(tables, write.before);
    const touched = new Map(held.map(({ name }) => [name.toString('latin1'), name]));
    for (const { table, key, value } of ops) {
      const name = entryName(table, key);
      if (touched.size > 0) touched.delete(name.toString('latin1'));
      if (value === null) tables.entries.removeSync(name);
      else tables.entries.putSync(name, value);
    }
    putHeld(tables, held);
    for (const bucket of buckets) tables.sums.putSync(bucketName(bucket), root.sum(bucket));
    const position = keepDelta(tables, write, [...touched.values()]);
    tables.meta.putSync(META.position, Buffer.from(JSON.stringify(position)));
    return position;
  });
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

/** @param touched entries whose held value it changed besides those it names */
function keepDelta(tables: StateTables, write: RevisionWrite, touched: readonly Buffer[]): StoredPosition {
  const { deltas } = tables;
  const { header, hash, bytes } = write.revision;
  const { environment, epoch, revision, issuedAt } = header;
  let { firstDelta, deltaBytes } = write.before;
  deltas.putSync(deltaName(revision), bytes);
  if (touched.length > 0) deltas.putSync(touchedName(revision), encodeNames(touched));
  deltaBytes += bytes.length;
  while (firstDelta <= revision && (revision - firstDelta >= KEPT_DELTAS || deltaBytes > KEPT_DELTA_BYTES)) {
    deltaBytes -= deltas.get(deltaName(firstDelta))?.length ?? 0;
    deltas.removeSync(deltaName(firstDelta));
    deltas.removeSync(touchedName(firstDelta));
    firstDelta += 1;
  }
  const root = header.root.toString('hex');
  const { appliedAt } = write;
  return {
    environment,
    epoch,
    revision,
    hash: hash.toString('hex'),
    root,
    issuedAt,
    appliedAt,
    firstDelta,
    deltaBytes,
  };
}
