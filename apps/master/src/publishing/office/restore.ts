import { randomUUID } from 'node:crypto';
import type { Session, Statement } from '../session.js';

/** One time that a database was behind its chain: what it took over, and from where. */
export interface Restore {
  id: string;
  environment: string;
}

/** Where missing revisions come from. */
export interface Theirs {
  /** `store s3://bucket`, `replica eu-west-1` */
  source: string;
  /** of the newest one */
  epoch: number;
  revision: number;
}

const UNDER_WAY: Statement = {
  name: 'restore_under_way',
  text: 'SELECT id FROM restore WHERE environment_id = $1 AND finished_at IS NULL',
};
const BEGIN: Statement = {
  name: 'restore_begin',
  text: `INSERT INTO restore (id, environment_id, source, from_revision, to_revision, theirs_epoch) VALUES ($1, $2, $3, $4, $5, $6)`,
};
const FURTHER: Statement = {
  name: 'restore_further',
  text: 'UPDATE restore SET to_revision = greatest(to_revision, $2), theirs_epoch = greatest(theirs_epoch, $3) WHERE id = $1',
};
const FINISH: Statement = {
  name: 'restore_finish',
  text: `UPDATE restore SET finished_at = now(), changed_back = $2,
           revocations = (SELECT count(*) FROM restore_item WHERE restore_id = $1 AND kind = 'kept') WHERE id = $1`,
};

/** The one that an earlier term began and did not finish, or null. */
export async function restoreUnderWay(session: Session, environment: string): Promise<Restore | null> {
  const [row] = await session.rows<{ id: string }>(UNDER_WAY, [environment]);
  return row ? { id: row.id, environment } : null;
}

/** Goes on with the one that is under way, or begins one. @param from the newest revision that is here */
export async function beginRestore(
  session: Session,
  environment: string,
  from: number,
  theirs: Theirs,
): Promise<Restore> {
  const underWay = await restoreUnderWay(session, environment);
  if (underWay) {
    await session.rows(FURTHER, [underWay.id, theirs.revision, theirs.epoch]);
    return underWay;
  }
  const id = randomUUID();
  await session.rows(BEGIN, [id, environment, theirs.source, from, theirs.revision, theirs.epoch]);
  return { id, environment };
}

/** @param changed how many entries the rows say otherwise about than the chain did */
export async function finishRestore(session: Session, restore: Restore, changed: number): Promise<void> {
  await session.rows(FINISH, [restore.id, changed]);
}
