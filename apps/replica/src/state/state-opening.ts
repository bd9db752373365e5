import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { BUCKETS, GENESIS_HASH, StateRoot } from '#artifacts';
import { LockHeldError, type ProcessLock, takeProcessLock } from '#platform';
import { setAsideIfNoDatabase } from './set-aside.js';
import { openTables, readPosition, StateDirectoryError, type StateTables } from './state-database.js';
import { bucketName, META, type StoredPosition } from './state-layout.js';

export interface OpenedState {
  tables: StateTables;
  lock: ProcessLock;
  position: StoredPosition;
  root: StateRoot;
  /** where a state lies that was none, and that was put away */
  setAside: string | null;
}

/**
 * Opens a state for the one process that applies revisions, or begins an empty one.
 *
 * @throws StateDirectoryError when it belongs to another environment, layout or process, or was damaged; it stays as it is
 */
export function openState(directory: string, environment: string): OpenedState {
  const lock = lockOf(directory);
  let tables: StateTables | undefined;
  try {
    const setAside = setAsideIfNoDatabase(directory, 'state');
    requireRoom(directory);
    tables = openTables(directory, false);
    if (tables.meta.get(META.position) === undefined) begin(tables, environment);
    const position = readPosition(tables);
    const root = loadRoot(tables);
    check(directory, environment, position, root);
    return { tables, lock, position, root, setAside };
  } catch (error) {
    void tables?.root.close();
    lock.release();
    throw error;
  }
}

/**
 * Processes that cannot see each other (two containers, one volume) both get the lock: the second one to write finds in
 * its transaction that the state is not where it left it, and writes nothing.
 */
function lockOf(directory: string): ProcessLock {
  try {
    return takeProcessLock(join(directory, 'lock'));
  } catch (error) {
    // On a full disk what is there is served all the same.
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return { broken: false, release: () => undefined };
    if (!(error instanceof LockHeldError)) throw error;
    throw new StateDirectoryError(
      `the state directory ${directory} is in use by process ${error.pid}; give each replica its own`,
    );
  }
}

/** The files of an empty state, and of what else a replica keeps beside it, with room to spare. */
const FIRST_BYTES = 256 * 1024;

/**
 * LMDB maps its lock file before anything is on the disk for it: a disk without room would end the process by a signal, and without a
 * word. A state that was written to once has that already, and is served.
 */
function requireRoom(directory: string): void {
  if ((statSync(join(directory, 'state', 'data.mdb'), { throwIfNoEntry: false })?.size ?? 0) > 0) return;
  const tried = join(directory, 'room');
  try {
    const file = openSync(tried, 'w');
    try {
      if (writeSync(file, Buffer.alloc(FIRST_BYTES)) < FIRST_BYTES) throw noRoom(directory);
      fsyncSync(file); // some file systems find out only then
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw FULL.has((error as NodeJS.ErrnoException).code) ? noRoom(directory) : error;
  } finally {
    rmSync(tried, { force: true });
  }
}

const FULL: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);

function noRoom(directory: string): StateDirectoryError {
  const least = `${FIRST_BYTES / 1024} KiB`;
  return new StateDirectoryError(`no space left in ${directory}: a state cannot begin there with less than ${least}`);
}

/** Binds an empty state to its environment. */
function begin(tables: StateTables, environment: string): void {
  const position: StoredPosition = {
    environment,
    epoch: 0,
    revision: 0,
    hash: GENESIS_HASH.toString('hex'),
    root: StateRoot.empty().root().toString('hex'),
    issuedAt: 0,
    appliedAt: 0,
    firstDelta: 1,
    deltaBytes: 0,
    repairs: 0,
  };
  tables.meta.putSync(META.position, Buffer.from(JSON.stringify(position)));
}

export function loadRoot(tables: StateTables): StateRoot {
  const root = StateRoot.empty();
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const sum = tables.sums.get(bucketName(bucket));
    if (sum) root.load(bucket, sum);
  }
  return root;
}

function check(directory: string, environment: string, position: StoredPosition, root: StateRoot): void {
  if (position.environment !== environment) {
    throw new StateDirectoryError(
      `the state in ${directory} belongs to the environment ${position.environment}, not ${environment}; ` +
        'correct HELIO_ENVIRONMENT, or give this replica another HELIO_STATE_DIR',
    );
  }
  if (root.root().toString('hex') !== position.root) {
    throw new StateDirectoryError(
      `the sums of the state in ${directory} do not give the root that was stored with them: the files were changed, or ` +
        'the disk lost a write; give this replica an empty HELIO_STATE_DIR, and it is filled again from the store',
    );
  }
}
