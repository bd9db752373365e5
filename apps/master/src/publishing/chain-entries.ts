import { type Op, TABLE } from '#model';
import { columns, type Entry, idOf } from './entries.js';
import type { Session, Statement } from './session.js';

/* What the chain of an environment says now: the table `published_entry`. */

const VALUES: Statement = {
  name: 'published_values',
  text: `SELECT p.* FROM unnest($2::smallint[], $3::bytea[]) AS e (table_id, key) CROSS JOIN LATERAL (
           SELECT table_id AS "table", key, value FROM published_entry WHERE environment_id = $1 AND table_id = e.table_id AND key = e.key OFFSET 0
         ) AS p`,
};
const PRESENT: Statement = {
  name: 'published_present',
  text: `SELECT p.* FROM unnest($2::smallint[], $3::bytea[]) AS e (table_id, key) CROSS JOIN LATERAL (
           SELECT table_id AS "table", key FROM published_entry WHERE environment_id = $1 AND table_id = e.table_id AND key = e.key OFFSET 0
         ) AS p`,
};
const PLACED: Statement = {
  name: 'published_placed',
  text: `SELECT p.* FROM unnest($2::bytea[]) AS e (value) CROSS JOIN LATERAL (
           SELECT key, value FROM published_entry WHERE environment_id = $1 AND table_id = ${TABLE.placement} AND value = e.value OFFSET 0
         ) AS p`,
};

/** Values by `idOf`; what the chain does not have is left out. */
export async function publishedValues(
  session: Session,
  environment: string,
  entries: readonly Entry[],
): Promise<Map<string, Buffer>> {
  const rows = await session.rows<Entry & { value: Buffer }>(VALUES, [environment, ...columns(entries)]);
  return new Map(rows.map((row) => [idOf(row), row.value]));
}

/** Those of `entries` that the chain has, as `idOf`. */
export async function publishedAmong(
  session: Session,
  environment: string,
  entries: readonly Entry[],
): Promise<Set<string>> {
  if (entries.length === 0) return new Set();
  return new Set((await session.rows<Entry>(PRESENT, [environment, ...columns(entries)])).map(idOf));
}

/** The placements on the chain that refer to one of the releases. */
export async function placementsOf(
  session: Session,
  environment: string,
  digests: Buffer[],
): Promise<{ key: Buffer; value: Buffer }[]> {
  return session.rows(PLACED, [environment, digests]);
}

/** Bounds memory: some 10 MB at the most. */
const MOST_KNOWN = 50_000;

/**
 * Entries that the chain has, for those that others refer to: so that it need not be asked of each new key whether it has the
 * application. True while a term lasts, for nobody else changes the chain.
 */
export class KnownEntries {
  private readonly ids = new Set<string>();

  has(id: string): boolean {
    return this.ids.has(id);
  }

  add(id: string): void {
    if (this.ids.size >= MOST_KNOWN) this.ids.clear();
    this.ids.add(id);
  }

  /** After the commit of what changed. */
  changed(changes: readonly Op[]): void {
    for (const change of changes) {
      if (change.table === TABLE.key || change.table === TABLE.client) continue; // nothing refers to them
      if (change.value === null) this.ids.delete(idOf(change));
      else this.add(idOf(change));
    }
  }
}
