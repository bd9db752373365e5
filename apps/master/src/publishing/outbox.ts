import { LIMITS } from '#artifacts';
import { columns, type Entry, idOf } from './entries.js';
import { LOADERS } from './loaders.js';
import type { Session, Statement } from './session.js';

export interface Marker extends Entry {
  id: string;
  /** the transaction that wrote it, in decimal */
  xid: string;
}

/** Markers of one environment, of whole transactions in the order in which those began to write. */
export interface Taken {
  markers: Marker[];
  /** there is no visible marker besides these: what the database says now is a state that was committed */
  all: boolean;
  /** the last transaction has more markers than one revision may have ops: they are its first */
  cut: boolean;
  /** whose markers were not visible yet */
  unseen: Transactions;
}

/** Transactions that can have markers which were never seen: those that ran when one looked, and those that began later. */
export interface Transactions {
  running: string[];
  /** the first one of those that began later */
  from: string;
}

export const ALL_TRANSACTIONS: Transactions = { running: [], from: '0' };

/** Markers of tables that only a newer build knows wait until one of those is the leader. */
const KNOWN = `table_id IN (${[...LOADERS.keys()].join(', ')})`;

/**
 * By transaction, and not simply the first by id: rows that were deleted stay in the index until no transaction is left
 * that began before that, a backup for instance, and each look would pass over all of them again.
 */
const OLDEST: Statement = {
  name: 'outbox_oldest',
  text: `SELECT *, CASE WHEN row_number() OVER (ORDER BY xid, id) = 1 THEN pg_current_snapshot()::text END AS snapshot FROM (
           (SELECT id, xid, table_id AS "table", key FROM outbox WHERE environment_id = $1 AND xid = ANY ($2::bigint[]) AND ${KNOWN} ORDER BY xid, id LIMIT $4)
           UNION ALL
           (SELECT id, xid, table_id, key FROM outbox WHERE environment_id = $1 AND xid >= $3 AND ${KNOWN} ORDER BY xid, id LIMIT $4)
         ) AS either ORDER BY xid, id LIMIT $4`,
};

const ANY: Statement = {
  name: 'outbox_any',
  text: `SELECT EXISTS (SELECT FROM outbox WHERE environment_id = $1 AND xid >= $3 AND ${KNOWN})
             OR EXISTS (SELECT FROM outbox WHERE environment_id = $1 AND xid = ANY ($2::bigint[]) AND ${KNOWN}) AS waits`,
};

const OF_TRANSACTIONS: Statement = {
  name: 'outbox_of_transactions',
  text: `SELECT id, xid, table_id AS "table", key FROM outbox
         WHERE environment_id = $1 AND xid = ANY ($2::bigint[]) AND ${KNOWN} ORDER BY xid, id LIMIT $3`,
};

const OTHERS_TOUCHING: Statement = {
  name: 'outbox_others_touching',
  text: `SELECT DISTINCT o.xid FROM outbox o JOIN unnest($3::smallint[], $4::bytea[]) AS e (table_id, key) USING (table_id, key)
         WHERE o.environment_id = $1 AND o.xid <> ALL ($2::bigint[]) AND ${KNOWN}`,
};

/** Whether markers of these transactions wait. */
export async function hasMarkers(
  session: Session,
  environment: string,
  { running, from }: Transactions,
): Promise<boolean> {
  const [row] = await session.rows<{ waits: boolean }>(ANY, [environment, running, from]);
  return row?.waits ?? false;
}

/**
 * Of the oldest of these transactions the markers: as many whole transactions as have at most `limit`, one in any case.
 * To be called inside the transaction that reads the rows they point at.
 */
export async function takeMarkers(
  session: Session,
  environment: string,
  { running, from }: Transactions,
  limit: number,
): Promise<Taken> {
  const rows = await session.rows<Marker & { snapshot: string | null }>(OLDEST, [
    environment,
    running,
    from,
    limit + 1,
  ]);
  const unseen = rows[0]?.snapshot ? unseenOf(rows[0].snapshot) : { running, from };
  if (rows.length <= limit) return { markers: rows, all: true, cut: false, unseen };
  const last = rows[limit]?.xid ?? '';
  const markers = rows.filter(({ xid }) => xid !== last);
  if (markers.length > 0) return { markers, all: false, cut: false, unseen };
  const first = await session.rows<Marker>(OF_TRANSACTIONS, [environment, [last], LIMITS.ops + 1]);
  return { markers: first.slice(0, LIMITS.ops), all: false, cut: first.length > LIMITS.ops, unseen };
}

/** From the text of a pg_snapshot: `xmin:xmax:running,running`. */
function unseenOf(snapshot: string): Transactions {
  const [, from = '0', running = ''] = snapshot.split(':');
  return { running: running === '' ? [] : running.split(','), from };
}

/**
 * Adds the transactions that touched any of `entries` as well, whose values are the ones that are read: what such a
 * transaction wrote besides has to arrive with them.
 *
 * @returns null when there are none
 */
export async function withTouching(
  session: Session,
  environment: string,
  taken: Taken,
  entries: readonly Entry[],
): Promise<Taken | null> {
  // with one plan for every size this has to be a join by hash: a loop would read all that waits for each entry
  await session.run('SET LOCAL enable_nestloop = off');
  const others = await session.rows<{ xid: string }>(OTHERS_TOUCHING, [
    environment,
    transactionsOf(taken),
    ...columns(entries),
  ]);
  await session.run('SET LOCAL enable_nestloop = on');
  if (others.length === 0) return null;
  const more = await session.rows<Marker>(OF_TRANSACTIONS, [environment, others.map(({ xid }) => xid), LIMITS.ops + 1]);
  return { ...taken, markers: [...taken.markers, ...more], cut: taken.cut || more.length > LIMITS.ops };
}

export function transactionsOf({ markers }: Pick<Taken, 'markers'>): string[] {
  return [...new Set(markers.map(({ xid }) => xid))];
}

/** Each entry once, in the order of the markers. */
export function entriesOf(markers: readonly Marker[]): Entry[] {
  const entries = new Map<string, Entry>();
  for (const marker of markers) entries.set(idOf(marker), marker);
  return [...entries.values()];
}
