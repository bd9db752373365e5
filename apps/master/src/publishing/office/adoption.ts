import {
  type ChainPosition,
  FormatError,
  opsOf,
  positionAfter,
  StateRoot,
  TrustedKeys,
  type VerifiedRevision,
  verifyRevision,
} from '#artifacts';
import { decodeTrustedKeys, type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { publishedValues } from '../chain-entries.js';
import { columns, idOf } from '../entries.js';
import { TermOver } from '../round.js';
import type { Session, Statement } from '../session.js';
import type { Term } from '../term.js';
import { type Restore, beginRestore, type Theirs } from './restore.js';
import type { Revocations } from './revocation.js';
import { revocationsIn } from './revocations.js';

/** Where revisions that are missing here can be had. */
export interface MissingRevisions extends Theirs {
  /** its bytes as they were signed, from anywhere; null: it is not there */
  fetch(revision: number): Promise<Buffer | null>;
}

/** They do not continue this chain, or not as they should; `problem` is for people. */
export class NotAdoptable extends Error {}

/** Read ahead while one is written: enough to hide a distant store, few in memory. */
const AHEAD = 4;
const ENTRIES_AT_A_TIME = 1_000;

/** The chain's own epoch stays that of the term, whose row this is; `outrank` follows. */
const ADOPT: Statement = {
  name: 'adopt_revision',
  text: `WITH sealed AS (
      INSERT INTO revision (environment_id, revision, epoch, hash, root, issued_at, ops, bytes, xids)
      VALUES ($1, $3, $4, $5, $6, $7, $8, $9, '{}')
    ),
    put AS (
      INSERT INTO published_entry (environment_id, table_id, key, value, revision)
      SELECT $1, e.table_id, e.key, e.value, $3 FROM unnest($10::smallint[], $11::bytea[], $12::bytea[]) AS e (table_id, key, value)
      ON CONFLICT (environment_id, table_id, key) DO UPDATE SET value = excluded.value, revision = excluded.revision
    ),
    deleted AS (
      DELETE FROM published_entry WHERE ctid = ANY (ARRAY(
        SELECT p.ctid FROM unnest($13::smallint[], $14::bytea[]) AS e (table_id, key) CROSS JOIN LATERAL (
          SELECT ctid FROM published_entry WHERE environment_id = $1 AND table_id = e.table_id AND key = e.key OFFSET 0
        ) AS p
      ))
    ),
    summed AS (
      INSERT INTO chain_bucket (environment_id, bucket, sum) SELECT $1, b.bucket, b.sum FROM unnest($15::smallint[], $16::bytea[]) AS b (bucket, sum)
      ON CONFLICT (environment_id, bucket) DO UPDATE SET sum = excluded.sum
    )
    UPDATE chain SET revision = $3, hash = $5, root = $6, entered_epoch = greatest(entered_epoch, $4) WHERE environment_id = $1 AND epoch = $2 AND revision = $3::bigint - 1 RETURNING 1`,
};
const NOTE: Statement = {
  name: 'adopt_note',
  text: `INSERT INTO restore_item (restore_id, kind, what, key, target, detail)
         SELECT $1, 'revocation', e.what, e.key, e.target, e.detail FROM unnest($2::text[], $3::bytea[], $4::text[], $5::jsonb[]) AS e (what, key, target, detail)
         ON CONFLICT (restore_id, kind, what, key) DO UPDATE SET detail = excluded.detail`,
};
const FORGET: Statement = {
  name: 'adopt_forget',
  text: `DELETE FROM restore_item WHERE restore_id = $1 AND kind = 'revocation'
           AND (what, key) IN (SELECT e.what, e.key FROM unnest($2::text[], $3::bytea[]) AS e (what, key))`,
};

/**
 * Takes over revisions that this database has forgotten, one transaction each: their exact bytes, what they make the chain
 * say, and what they took away from somebody. Each is verified as a replica would, by keys that the chain trusted at
 * that place. What was done stays done when this ends early: the next term goes on behind it.
 *
 * @param term stands behind what was adopted when this returns
 * @returns how many were adopted; fewer than asked for when one of them is not there
 * @throws NotAdoptable, TermOver, and whatever the source throws
 */
export async function adoptRevisions(term: Term, missing: MissingRevisions, signal: AbortSignal): Promise<number> {
  const { session, environment } = term;
  const from = term.revision;
  let position = await positionOf(term);
  let trusted = term.trust.current;
  let restore: Restore | null = null;
  for await (const { number, bytes } of inOrder(missing, from + 1, signal)) {
    const verified = verify(bytes, position, trusted, missing.source);
    restore ??= await beginRestore(session, environment, from, missing);
    const { root, keys } = await write(term, restore, verified);
    position = positionAfter(verified);
    if (keys) trusted = new TrustedKeys(keys);
    Object.assign(term, { revision: number, hash: verified.hash, root, issuedAt: verified.header.issuedAt });
  }
  return term.revision - from;
}

/** Where the chain of a term stands; the epoch is that of its newest revision. */
async function positionOf({ session, environment, revision, hash }: Term): Promise<ChainPosition> {
  const [row] = await session.rows<{ epoch: number }>(EPOCH_OF, [environment, revision]);
  return { environment, epoch: row?.epoch ?? 0, revision, hash };
}
const EPOCH_OF: Statement = {
  name: 'adopt_epoch_of',
  text: 'SELECT epoch FROM revision WHERE environment_id = $1 AND revision = $2',
};

async function* inOrder(
  missing: MissingRevisions,
  first: number,
  signal: AbortSignal,
): AsyncGenerator<{ number: number; bytes: Buffer }> {
  const coming: Promise<Buffer | null>[] = [];
  for (let number = first, next = first; number <= missing.revision; number++) {
    while (next <= missing.revision && coming.length < AHEAD) {
      const bytes = missing.fetch(next++);
      bytes.catch(() => undefined); // told when it is its turn
      coming.push(bytes);
    }
    signal.throwIfAborted();
    const bytes = await coming.shift();
    if (!bytes) return;
    yield { number, bytes };
  }
}

/** @throws NotAdoptable with the first thing that is wrong */
function verify(bytes: Buffer, position: ChainPosition, trusted: TrustedKeys, source: string): VerifiedRevision {
  try {
    return verifyRevision(bytes, position, trusted);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new NotAdoptable(`revision ${position.revision + 1} from ${source}: ${error.message}`);
  }
}

/** @returns the root after it, and the keys of the chain where it changes them */
async function write(
  { session, environment, epoch, root: before }: Term,
  restore: Restore,
  { header, hash, bytes, ...sealed }: VerifiedRevision,
): Promise<{ root: StateRoot; keys: string[] | null }> {
  const ops = opsOf({ header, hash, bytes, ...sealed });
  const root = before.clone();
  const buckets = new Set<number>();
  await session.transaction('READ COMMITTED', async () => {
    for (let at = 0; at < ops.length; at += ENTRIES_AT_A_TIME) {
      const some = ops.slice(at, at + ENTRIES_AT_A_TIME);
      const values = await publishedValues(session, environment, some);
      const found: Revocations = { made: [], undone: [] };
      for (const op of some) {
        const value = values.get(idOf(op)) ?? null;
        buckets.add(root.change(op.table, op.key, value, op.value));
        const { made, undone } = revocationsIn(op, value);
        found.made.push(...made);
        found.undone.push(...undone);
      }
      await note(session, restore, found);
    }
    if (!root.root().equals(header.root)) {
      throw new NotAdoptable(
        `revision ${header.revision} does not give the state root that it says: the rows of this database do not fit its own chain`,
      );
    }
    const puts = ops.filter((op): op is Op & { value: Buffer } => op.value !== null);
    const written = await session.rows(ADOPT, [
      environment,
      epoch,
      header.revision,
      header.epoch,
      hash,
      header.root,
      new Date(header.issuedAt),
      ops.length,
      bytes,
      ...columns(puts),
      puts.map(({ value }) => value),
      ...columns(ops.filter(({ value }) => value === null)),
      [...buckets],
      [...buckets].map((bucket) => root.sum(bucket)),
    ]);
    if (written.length === 0) throw new TermOver(`epoch ${epoch} is over`);
  });
  const setting = ops.find(({ table, key }) => table === TABLE.setting && key.equals(TRUSTED_KEYS_SETTING));
  return { root, keys: setting?.value ? decodeTrustedKeys(setting.value) : null };
}

/** For the transaction that changes the chain so. */
export async function note(session: Session, { id }: Restore, { made, undone }: Revocations): Promise<void> {
  // an entry comes once in a change, so it does not matter which of the two is first
  if (undone.length > 0) await session.rows(FORGET, [id, undone.map(({ what }) => what), undone.map(({ key }) => key)]);
  if (made.length === 0) return;
  await session.rows(NOTE, [
    id,
    made.map(({ what }) => what),
    made.map(({ key }) => key),
    made.map(({ target }) => target),
    made.map(({ detail }) => detail && JSON.stringify(detail)),
  ]);
}
