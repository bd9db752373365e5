import type { VerifiedRevision } from '#artifacts';
import type { Op } from '#model';
import { columns, type Entry } from '../entries.js';
import type { Session, Statement } from '../session.js';
import type { Position } from '../store/store-head.js';
import type { Restore } from './restore.js';

/*
 * A chain that is made beside the one of an environment: rows of `published_entry` and `revision` under a name that no
 * environment can have.
 */

/** Rows that one statement moves or deletes: some seconds of work. */
const ROWS = 50_000;
const PAGE = 1_000;

export const nameOf = (environment: string): string => `${environment}!theirs`;

const clearSome = (table: string): string =>
  `WITH done AS (DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE environment_id = $1 LIMIT ${ROWS})) RETURNING 1)
   SELECT count(*) AS rows FROM done`;
const moveSome = (table: string): string =>
  `WITH done AS (UPDATE ${table} SET environment_id = $2 WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE environment_id = $1 LIMIT ${ROWS})) RETURNING 1)
   SELECT count(*) AS rows FROM done`;
const CLEAR_ENTRIES: Statement = { name: 'draft_clear_entries', text: clearSome('published_entry') };
const CLEAR_REVISIONS: Statement = { name: 'draft_clear_revisions', text: clearSome('revision') };
const MOVE_ENTRIES: Statement = { name: 'draft_move_entries', text: moveSome('published_entry') };
const MOVE_REVISIONS: Statement = { name: 'draft_move_revisions', text: moveSome('revision') };
const PUT: Statement = {
  name: 'draft_put',
  text: `INSERT INTO published_entry (environment_id, table_id, key, value, revision)
         SELECT $1, e.table_id, e.key, e.value, $2 FROM unnest($3::smallint[], $4::bytea[], $5::bytea[]) AS e (table_id, key, value)
         ON CONFLICT (environment_id, table_id, key) DO UPDATE SET value = excluded.value, revision = excluded.revision`,
};
const REMOVE: Statement = {
  name: 'draft_remove',
  text: `DELETE FROM published_entry p USING unnest($2::smallint[], $3::bytea[]) AS e (table_id, key)
         WHERE p.environment_id = $1 AND p.table_id = e.table_id AND p.key = e.key`,
};
const KEEP: Statement = {
  name: 'draft_keep',
  text: `INSERT INTO revision (environment_id, revision, epoch, hash, root, issued_at, ops, bytes, xids) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}')`,
};
const COMMON: Statement = {
  name: 'draft_common',
  text: `SELECT max(ours.revision) AS revision FROM revision ours JOIN revision theirs ON theirs.environment_id = $2 AND theirs.revision = ours.revision
         WHERE ours.environment_id = $1 AND ours.hash = theirs.hash`,
};
const CHANGES: Statement = {
  name: 'draft_changes',
  text: `SELECT page.key, ours.value AS before, theirs.value FROM (
           SELECT key FROM published_entry WHERE environment_id IN ($1, $2) AND table_id = $3 AND key > $4 GROUP BY key ORDER BY key LIMIT ${PAGE}
         ) AS page
         LEFT JOIN published_entry ours ON ours.environment_id = $1 AND ours.table_id = $3 AND ours.key = page.key
         LEFT JOIN published_entry theirs ON theirs.environment_id = $2 AND theirs.table_id = $3 AND theirs.key = page.key ORDER BY page.key`,
};
const FORGET_REVISIONS: Statement = {
  name: 'draft_forget_revisions',
  text: 'DELETE FROM revision WHERE environment_id = $1 AND revision > $2',
};
const KEEP_COMMON: Statement = {
  name: 'draft_keep_common',
  text: 'DELETE FROM revision WHERE environment_id = $1 AND revision <= $2',
};
const SUMS: Statement = {
  name: 'draft_sums',
  text: `WITH gone AS (DELETE FROM chain_bucket WHERE environment_id = $1 AND bucket <> ALL ($2::smallint[]))
         INSERT INTO chain_bucket (environment_id, bucket, sum) SELECT $1, b.bucket, b.sum FROM unnest($2::smallint[], $3::bytea[]) AS b (bucket, sum)
         ON CONFLICT (environment_id, bucket) DO UPDATE SET sum = excluded.sum`,
};
const REPORT: Statement = {
  name: 'draft_report',
  text: 'UPDATE restore SET missing_from = $2, missing_to = $3, dropped_from = $4, dropped_to = $5 WHERE id = $1',
};
const MOVE_CHAIN: Statement = {
  name: 'draft_move_chain',
  text: `UPDATE chain SET revision = $3, hash = $4, root = $5, stored_revision = $3, entered_epoch = greatest(entered_epoch, $6) WHERE environment_id = $1 AND epoch = $2 RETURNING 1`,
};

/** What an earlier attempt has left. */
export async function clear(session: Session, environment: string): Promise<void> {
  await repeat(session, CLEAR_ENTRIES, [nameOf(environment)]);
  await repeat(session, CLEAR_REVISIONS, [nameOf(environment)]);
}

export async function put(
  session: Session,
  environment: string,
  entries: readonly (Entry & { value: Buffer })[],
  revision: number,
): Promise<void> {
  if (entries.length === 0) return;
  const values = entries.map(({ value }) => value);
  await session.rows(PUT, [nameOf(environment), revision, ...columns(entries), values]);
}

export async function remove(session: Session, environment: string, entries: readonly Entry[]): Promise<void> {
  if (entries.length > 0) await session.rows(REMOVE, [nameOf(environment), ...columns(entries)]);
}

export async function keep(
  session: Session,
  environment: string,
  { header, hash, bytes }: VerifiedRevision,
  ops: number,
): Promise<void> {
  const { revision, epoch, root, issuedAt } = header;
  await session.rows(KEEP, [nameOf(environment), revision, epoch, hash, root, new Date(issuedAt), ops, bytes]);
}

/**
 * The newest revision that is the same in both: up to there everything stays. Where the draft begins with a snapshot that
 * is newer than all of ours, that is our newest one; older than that nothing can be compared, and none is kept.
 */
export async function common(session: Session, environment: string, base: number, newest: number): Promise<number> {
  const [row] = await session.rows<{ revision: string | null }>(COMMON, [environment, nameOf(environment)]);
  return row?.revision ? Number(row.revision) : newest <= base ? newest : 0;
}

/** How entries of one table differ, page by page. */
export async function* changes(
  session: Session,
  environment: string,
  table: number,
): AsyncGenerator<(Op & { before: Buffer | null })[]> {
  for (let after: Buffer = Buffer.alloc(0); ; ) {
    const page = await session.rows<{ key: Buffer; before: Buffer | null; value: Buffer | null }>(CHANGES, [
      environment,
      nameOf(environment),
      table,
      after,
    ]);
    const last = page.at(-1);
    if (!last) return;
    yield page.flatMap(({ key, before, value }) =>
      before && value?.equals(before) ? [] : [{ table, key, before, value }],
    );
    after = last.key;
  }
}

/** For one transaction. @param sums of all buckets */
export async function takeOver(
  session: Session,
  environment: string,
  upTo: number,
  sums: readonly Buffer[],
): Promise<void> {
  const theirs = nameOf(environment);
  await session.rows(FORGET_REVISIONS, [environment, upTo]);
  await session.rows(KEEP_COMMON, [theirs, upTo]);
  await repeat(session, MOVE_REVISIONS, [theirs, environment]);
  await repeat(session, CLEAR_ENTRIES, [environment]);
  await repeat(session, MOVE_ENTRIES, [theirs, environment]);
  await session.rows(SUMS, [environment, sums.map((_, bucket) => bucket), sums]);
}

type Span = readonly [from: number, to: number];

/** Spans that end before they begin are none. */
export async function report(
  session: Session,
  { id }: Restore,
  { missing, dropped }: { missing: Span; dropped: Span },
): Promise<void> {
  const orNone = ([from, to]: Span): (number | null)[] => (from <= to ? [from, to] : [null, null]);
  await session.rows(REPORT, [id, ...orNone(missing), ...orNone(dropped)]);
}

/** @returns false: the term is over */
export async function moveChain(
  session: Session,
  environment: string,
  epoch: number,
  { revision, hash, root, epoch: theirs }: Position & { epoch: number },
): Promise<boolean> {
  return (await session.rows(MOVE_CHAIN, [environment, epoch, revision, hash, root, theirs])).length > 0;
}

async function repeat(session: Session, statement: Statement, values: unknown[]): Promise<void> {
  for (let rows = ROWS; rows === ROWS; ) {
    const [row] = await session.rows<{ rows: string }>(statement, values);
    rows = Number(row?.rows ?? 0);
  }
}
