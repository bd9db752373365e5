import type { Session, Statement } from '../session.js';

/** Why a master must not publish an environment: what the store or a replica holds instead. Kept in the chain's row, for all masters on it. */
export interface Fence {
  /**
   * `replaced`: a master with another database works on this chain, whatever the number of its term: those of two
   * databases cannot be compared; `fork`: the store has another history; `empty_database`: the store has a chain, and this database none of it
   */
  reason: 'replaced' | 'fork' | 'empty_database';
  /** of the head that was found, or of the revision that a replica has */
  epoch: number;
  revision: number;
  /** hexadecimal */
  hash: string;
  /** hexadecimal; who signed it */
  keyId: string;
  /** the first revision that is another one there than here, as far as it is known */
  firstDifferent: number | null;
  /** who has that revision; null: the head was found in the store */
  replica: string | null;
  /** ISO 8601 */
  since: string;
  /** for people */
  detail: string;
}

/** What an operator says about a fence, or about a database that may have gone back in time. */
export const DECISIONS = ['adopt', 'discard-theirs', 'proceed'] as const;
export type Decision = (typeof DECISIONS)[number];

/** What the chain's row says beside the chain itself. */
export interface OfficeRow {
  fence: Fence | null;
  decision: Decision | null;
  /** see `databaseIdentity`; null: no term of this build has begun yet */
  database: string | null;
}

/**
 * By so much a database that moved is ahead of the one that published before it: more terms than a master can have begun that was cut
 * off and took office again and again, in weeks of one every few seconds. Otherwise that one would have the newer epoch when its link
 * is back, and replicas and store would follow it as long as nothing was published here.
 */
export const EPOCH_LEAP = 1_000_000;

const READ: Statement = {
  name: 'office_row',
  text: 'SELECT fence, decision, database_id AS database FROM chain WHERE environment_id = $1',
};
const RAISE: Statement = {
  name: 'office_raise',
  // one that is raised again for the same reason, after an operator has decided, is no news
  text: `WITH before AS (
           SELECT fence FROM chain WHERE environment_id = $1 AND epoch = $2 FOR UPDATE
         ), raised AS (
           UPDATE chain SET fence = $3, decision = NULL, decided_by = NULL WHERE environment_id = $1 AND EXISTS (SELECT FROM before) RETURNING fence
         ), told AS (
           INSERT INTO event (type, subject, environment_id, actor, data)
           SELECT CASE r.fence->>'reason' WHEN 'fork' THEN 'chain.fork' ELSE 'master.fenced' END, 'environment/' || $1, $1, 'system',
             jsonb_build_object('reason', r.fence->'reason', 'epoch', r.fence->'epoch', 'revision', r.fence->'revision', 'replica', r.fence->'replica', 'detail', r.fence->'detail')
           FROM raised r, before b WHERE b.fence->>'reason' IS DISTINCT FROM r.fence->>'reason'
         )
         SELECT 1 FROM raised`,
};
const LIFT: Statement = {
  name: 'office_lift',
  text: 'UPDATE chain SET fence = NULL WHERE environment_id = $1 AND fence IS NOT NULL',
};
const SETTLE: Statement = {
  name: 'office_settle',
  text: `UPDATE chain SET fence = NULL, decision = NULL, decided_by = NULL, database_id = $3, entered_epoch = $2, public_key = $4
         WHERE environment_id = $1 AND epoch = $2 RETURNING 1`,
};
const MOVE_IN: Statement = {
  name: 'office_move_in',
  text: `UPDATE chain SET fence = NULL, decision = NULL, decided_by = NULL, database_id = $3, epoch = epoch + ${EPOCH_LEAP}, xid_floor = revision,
           xid_floor_at = coalesce((
             SELECT r.issued_at FROM revision r WHERE r.environment_id = chain.environment_id AND r.revision = chain.revision
           ), now())
         WHERE environment_id = $1 AND epoch = $2`,
};
/** The term ends here: the next one is newer than theirs. */
const OUTRANK: Statement = {
  name: 'office_outrank',
  text: `UPDATE chain SET epoch = greatest(epoch, $3), discarded_epoch = CASE WHEN $4 THEN greatest(discarded_epoch, $3) ELSE discarded_epoch END
         WHERE environment_id = $1 AND epoch = $2 RETURNING 1`,
};

export async function readOffice(session: Session, environment: string): Promise<OfficeRow> {
  const [row] = await session.rows<OfficeRow>(READ, [environment]);
  return row ?? { fence: null, decision: null, database: null };
}

/** @returns false: the term is over */
export async function raiseFence(session: Session, environment: string, epoch: number, fence: Fence): Promise<boolean> {
  return (await session.rows(RAISE, [environment, epoch, JSON.stringify(fence)])).length > 0;
}

/** To be called by whoever holds the environment's lock: what it was raised for is gone. */
export async function liftFence(session: Session, environment: string): Promise<void> {
  await session.rows(LIFT, [environment]);
}

/**
 * Nothing is open any more: this database is the one that publishes, and heads are signed for the term.
 *
 * @param publicKey whose private half signs from now on
 * @returns false: the term is over
 */
export async function settleOffice(
  session: Session,
  environment: string,
  epoch: number,
  database: string,
  publicKey: string,
): Promise<boolean> {
  return (await session.rows(SETTLE, [environment, epoch, database, publicKey])).length > 0;
}

/**
 * Nothing that this database had forgotten is open any more: it is the one that publishes from its next term on, which is newer than
 * any that the database before it can have reached. What ran on that one says nothing of transactions here.
 */
export async function moveIn(session: Session, environment: string, epoch: number, database: string): Promise<void> {
  await session.rows(MOVE_IN, [environment, epoch, database]);
}

/**
 * Makes the next term newer than another master's.
 *
 * @param discard whether the store's heads up to that epoch are to be written over
 */
export async function outrank(
  session: Session,
  environment: string,
  epoch: number,
  theirs: number,
  discard: boolean,
): Promise<void> {
  await session.rows(OUTRANK, [environment, epoch, theirs, discard]);
}
