import { join } from 'node:path';
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb';
import { LAYOUT_VERSION, META, type StoredPosition, storedPosition } from './state-layout.js';

export type Table = Database<Buffer, Buffer>;

export interface StateTables {
  root: RootDatabase<Buffer, Buffer>;
  meta: Table;
  entries: Table;
  held: Table;
  sums: Table;
  deltas: Table;
}

/** A state directory that must not be used as it is; the message says why, and what would help. */
export class StateDirectoryError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StateDirectoryError';
  }
}

/**
 * Address space, not memory or disk. Fixed and the same in every process: LMDB would otherwise have to map the file
 * anew in each of them when it grows, which moves pages that pinned snapshots read from.
 */
const MAP_BYTES = 64 * 1024 ** 3;
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

/**
 * @param readOnly for any process but the one that applies revisions
 * @throws StateDirectoryError when it was not made by this layout version, or (read-only) not made at all
 */
export function openTables(directory: string, readOnly: boolean): StateTables {
  const root = open<Buffer, Buffer>({
    path: join(directory, 'state'),
    readOnly,
    mapSize: MAP_BYTES,
    maxDbs: 5,
    // A commit is on the disk when it returns, and not visible before. lmdb's default would show it first and sync
    // later: a worker could then serve a revision that a power failure takes back.
    overlappingSync: false,
    ...BINARY,
  });
  try {
    const table = (name: string): Table => {
      const opened: Table | undefined = root.openDB<Buffer, Buffer>(name, { ...BINARY });
      if (opened) return opened;
      throw new StateDirectoryError(`the state in ${directory} has no table "${name}": no replica has opened it yet`);
    };
    const meta = table('meta');
    checkLayout(directory, meta, readOnly);
    return { root, meta, entries: table('entries'), held: table('held'), sums: table('sums'), deltas: table('deltas') };
  } catch (error) {
    void root.close();
    throw error;
  }
}

function checkLayout(directory: string, meta: Table, readOnly: boolean): void {
  const found = meta.get(META.layout);
  if (found === undefined && !readOnly && isEmpty(meta)) {
    const version = Buffer.alloc(2);
    version.writeUInt16BE(LAYOUT_VERSION, 0);
    meta.putSync(META.layout, version);
    return;
  }
  const version = found?.length === 2 ? found.readUInt16BE(0) : 'unknown';
  if (version !== LAYOUT_VERSION) {
    throw new StateDirectoryError(
      `the state in ${directory} has layout version ${version}; this build reads version ${LAYOUT_VERSION}. ` +
        'Start the build that wrote it, or give this one another HELIO_STATE_DIR to fill from the store',
    );
  }
}

/** What was parsed or written last: it is asked for several times for each revision, and the check of its form costs most of that. */
const known = new WeakMap<Table, { text: string; position: Readonly<StoredPosition> }>();

/** @throws Error when there is none: the replica writes one before anybody else opens the state */
export function readPosition({ meta }: StateTables, transaction?: Transaction): Readonly<StoredPosition> {
  const text = String(meta.get(META.position, { transaction }));
  const last = known.get(meta);
  if (last?.text === text) return last.position;
  const position = storedPosition.parse(JSON.parse(text));
  known.set(meta, { text, position });
  return position;
}

/** To be called in a transaction. */
export function writePosition({ meta }: StateTables, position: Readonly<StoredPosition>): void {
  const text = JSON.stringify(position);
  meta.putSync(META.position, Buffer.from(text));
  known.set(meta, { text, position });
}

/** Not by a count: lmdb's counts walk the whole table. */
export function isEmpty(table: Table, transaction?: Transaction): boolean {
  for (const _ of table.getKeys({ transaction, limit: 1 })) return false;
  return true;
}
