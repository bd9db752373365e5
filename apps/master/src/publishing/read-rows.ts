import pg from 'pg';
import { type Entry, idOf } from './entries.js';
import type { Loaded, Loader } from './loaded.js';
import { LOADERS } from './loaders.js';
import type { Session } from './session.js';

/** Classes of SQLSTATE by which PostgreSQL says that it cannot make something of stored data: damaged, or beyond a limit. */
const DATA_FAULTS = new Set(['22', '54', 'XX']);

/**
 * What the rows of entries say as chain records, by `idOf`; without a row there is nothing.
 *
 * @param careful when reading many rows at once fails for what is stored in one of them, the others are read all the same
 * @throws TooLarge when releases have more bytes than one revision may
 */
export async function readRows(
  session: Session,
  environment: string,
  entries: readonly Entry[],
  careful: boolean,
): Promise<Map<string, Loaded>> {
  const result = new Map<string, Loaded>();
  const readTable = async (table: number, load: Loader): Promise<void> => {
    const keys = entries.filter((entry) => entry.table === table).map(({ key }) => key);
    if (keys.length === 0) return;
    const read = (some: Buffer[]): Promise<Loaded[]> => load(session, environment, some);
    for (const loaded of await (careful ? readCarefully(session, keys, read) : read(keys)))
      result.set(idOf({ table, key: loaded.key }), loaded);
  };
  if (careful) for (const [table, load] of LOADERS) await readTable(table, load);
  else await Promise.all([...LOADERS].map(([table, load]) => readTable(table, load)));
  return result;
}

/** Reads halves of halves until those rows are alone that cannot be read. */
async function readCarefully(
  session: Session,
  keys: Buffer[],
  load: (keys: Buffer[]) => Promise<Loaded[]>,
): Promise<Loaded[]> {
  await session.run('SAVEPOINT careful');
  try {
    const loaded = await load(keys);
    await session.run('RELEASE SAVEPOINT careful');
    return loaded;
  } catch (error) {
    if (!isDataFault(error)) throw error;
    await session.run('ROLLBACK TO SAVEPOINT careful');
    if (keys.length === 1) return keys.map((key) => ({ key, problem: error.message }));
    const half = keys.length >> 1;
    return [
      ...(await readCarefully(session, keys.slice(0, half), load)),
      ...(await readCarefully(session, keys.slice(half), load)),
    ];
  }
}

/** Whether one row may be to blame: never for a lost connection, a timeout or a full disk, after which it is as good as before. */
export function isDataFault(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && DATA_FAULTS.has(error.code?.slice(0, 2) ?? '');
}
