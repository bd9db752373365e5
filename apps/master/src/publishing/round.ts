import { setImmediate as breathe } from 'node:timers/promises';
import { sealRevision, type SealedRevision, type Signer, type StateRoot } from '#artifacts';
import { plainArray } from '../database/arrays.js';
import { publishedValues } from './chain-entries.js';
import type { Change } from './draft.js';
import { columns, idOf } from './entries.js';
import { chooseChanges, type Chosen, type Manner } from './choose.js';
import type { Session, Statement } from './session.js';
import type { Term } from './term.js';

/** Another term has begun; nothing of this one may be written any more. */
export class TermOver extends Error {}

export interface Round {
  /** null: the markers said nothing new */
  sealed: SealedRevision | null;
  ops: number;
  bytes: number;
  /** transactions of which every marker was taken, in decimal */
  xids: string[];
  unusable: Chosen['unusable'];
  /** whether markers may wait that were there before */
  more: boolean;
}

/** Nothing happens without `term`: these statements are committed whatever they find. */
const CONSUME = `
  gone AS (DELETE FROM outbox WHERE id = ANY ($4::bigint[]) AND EXISTS (SELECT FROM term)),
  postponed AS (
    INSERT INTO outbox (environment_id, table_id, key)
    SELECT $1, e.table_id, e.key FROM unnest($5::smallint[], $6::bytea[]) AS e (table_id, key) WHERE EXISTS (SELECT FROM term)
  )`;

/** Only while the term is ours: FOR UPDATE waits for whoever ends it, and then finds nothing. */
const FORGET: Statement = {
  name: 'round_forget',
  text: `WITH term AS (SELECT 1 AS ours FROM chain WHERE environment_id = $1 AND epoch = $2 AND revision = $3 FOR UPDATE), ${CONSUME}
    SELECT ours FROM term`,
};

const PUBLISH: Statement = {
  name: 'round_publish',
  text: `WITH term AS (
      UPDATE chain SET revision = revision + 1, hash = $7, root = $8, stored_revision = $20
      WHERE environment_id = $1 AND epoch = $2 AND revision = $3 RETURNING 1 AS ours
    ), ${CONSUME},
    sealed AS (
      INSERT INTO revision (environment_id, revision, epoch, hash, root, issued_at, ops, bytes, xids)
      SELECT $1, $3::bigint + 1, $2, $7, $8, $9, $10, $11, $12 FROM term
    ),
    put AS (
      INSERT INTO published_entry (environment_id, table_id, key, value, revision)
      SELECT $1, e.table_id, e.key, e.value, $3::bigint + 1
      FROM unnest($13::smallint[], $14::bytea[], $15::bytea[]) AS e (table_id, key, value) WHERE EXISTS (SELECT FROM term)
      ON CONFLICT (environment_id, table_id, key) DO UPDATE SET value = excluded.value, revision = excluded.revision
    ),
    deleted AS (
      DELETE FROM published_entry WHERE ctid = ANY (ARRAY(
        SELECT p.ctid FROM unnest($16::smallint[], $17::bytea[]) AS e (table_id, key) CROSS JOIN LATERAL (
          SELECT ctid FROM published_entry WHERE environment_id = $1 AND table_id = e.table_id AND key = e.key OFFSET 0
        ) AS p
      )) AND EXISTS (SELECT FROM term)
    ),
    summed AS (
      INSERT INTO chain_bucket (environment_id, bucket, sum)
      SELECT $1, b.bucket, b.sum FROM unnest($18::smallint[], $19::bytea[]) AS b (bucket, sum) WHERE EXISTS (SELECT FROM term)
      ON CONFLICT (environment_id, bucket) DO UPDATE SET sum = excluded.sum
    )
    SELECT ours FROM term`,
};

/** A turn of the event loop is given to others after this many changes. */
const CHANGES_PER_TURN = 1_000;

/**
 * Turns waiting markers into the next revision, in one transaction with one snapshot; `term` then stands behind it.
 * After any error nothing has happened, unless COMMIT failed: then only a new term finds out.
 *
 * @param storedRevision what to remember of the artifact store along the way
 * @param now milliseconds since 1970
 * @returns null when no marker waits
 */
export async function publishRound(
  term: Term,
  signer: Signer,
  storedRevision: number,
  manner: Manner,
  now: number,
): Promise<Round | null> {
  const { session, environment, epoch, revision } = term;
  const done = await session.transaction('REPEATABLE READ', async () => {
    const chosen = await chooseChanges(term, manner);
    if (!chosen) return null;
    const taken = plainArray(chosen.markers.map(({ id }) => id));
    const consumed = [environment, epoch, revision, taken, ...columns(chosen.postponed)];
    if (chosen.changes.length === 0) {
      return { chosen, sealed: null, root: term.root, written: session.last(FORGET, consumed) };
    }
    const root = term.root.clone();
    const buckets = await applyChanges(root, chosen.changes, session, environment);
    const issuedAt = Math.max(now, term.issuedAt); // the clock may have been set back, or be another machine's
    const sealed = sealRevision(term, chosen.changes, root.root(), issuedAt, signer);
    const puts = chosen.changes.filter((change): change is Change & { value: Buffer } => change.value !== null);
    const revisionRow = [
      sealed.hash,
      sealed.header.root,
      new Date(issuedAt),
      chosen.changes.length,
      sealed.bytes,
      plainArray(chosen.xids),
    ];
    const putRows = [...columns(puts), puts.map(({ value }) => value)];
    const deletedRows = columns(chosen.changes.filter(({ value }) => value === null));
    const sumRows = [plainArray(buckets), buckets.map((bucket) => root.sum(bucket))];
    const parameters = [...consumed, ...revisionRow, ...putRows, ...deletedRows, ...sumRows, storedRevision];
    return { chosen, sealed, root, written: session.last(PUBLISH, parameters) };
  });
  if (!done) return null;
  if ((await done.written).length === 0) throw new TermOver(`epoch ${epoch} is over`);

  const { chosen, sealed, root } = done;
  if (sealed) {
    const { issuedAt } = sealed.header;
    term.known.changed(chosen.changes);
    Object.assign(term, { revision: revision + 1, hash: sealed.hash, root, issuedAt, storedRevision });
  }
  if (chosen.all) term.unseen = chosen.unseen;
  return {
    sealed,
    ops: chosen.changes.length,
    bytes: sealed?.bytes.length ?? 0,
    xids: chosen.xids,
    unusable: chosen.unusable,
    more: !chosen.all,
  };
}

/** @returns the buckets that changed */
async function applyChanges(
  root: StateRoot,
  changes: readonly Change[],
  session: Session,
  environment: string,
): Promise<number[]> {
  const buckets = new Set<number>();
  for (const [index, change] of changes.entries()) {
    // a release that leaves: one value at a time, for they are the large ones
    const before =
      change.before === undefined
        ? (await publishedValues(session, environment, [change])).get(idOf(change))
        : change.before;
    buckets.add(root.change(change.table, change.key, before ?? null, change.value));
    if (index % CHANGES_PER_TURN === CHANGES_PER_TURN - 1) await breathe();
  }
  return [...buckets];
}
