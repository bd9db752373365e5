import type { Session, Statement } from '../session.js';

/*
 * Which database this is. It changes when a backup is restored or a standby is promoted, and then the database may have
 * gone back in time: it may have forgotten what it had published.
 *
 * - the cluster's system identifier: another cluster
 * - the timeline: a promoted standby, or a recovery to a point in time. From the name of the file that is written to
 *   now: pg_control_checkpoint() tells the old one until the first checkpoint after a promotion
 * - the database's and the table's oid: a dump that was read into another database, or over this one
 *
 * A file system or a virtual machine that is set back changes none of it. Then only what the store knows tells.
 */

const HERE: Statement = {
  name: 'office_database',
  text: `SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS may_ask,
                substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline, 'chain'::regclass::oid::text AS relation,
                (SELECT oid::text FROM pg_database WHERE datname = current_database()) AS database`,
};
const CLUSTER: Statement = {
  name: 'office_cluster',
  text: 'SELECT system_identifier::text AS cluster FROM pg_control_system()',
};
/** What the role may not ask. */
const UNKNOWN = '-';

export async function databaseIdentity(session: Session): Promise<string> {
  const [here] = await session.rows<{ may_ask: boolean; timeline: string; relation: string; database: string }>(
    HERE,
    [],
  );
  if (!here) throw new Error('PostgreSQL does not say which database this is');
  const [asked] = here.may_ask ? await session.rows<{ cluster: string }>(CLUSTER, []) : [];
  return [asked?.cluster ?? UNKNOWN, here.timeline, here.database, here.relation].join('/');
}

/** Whether the role may ask everything: without the cluster's identifier a copy of the whole cluster looks like the original. */
export function isComplete(identity: string): boolean {
  return !identity.split('/').includes(UNKNOWN);
}

/** A part that could not be asked at one of the two times says nothing. */
export function isSameDatabase(one: string, other: string): boolean {
  const parts = other.split('/');
  return one.split('/').every((part, index) => {
    const counterpart = parts[index];
    return part === counterpart || part === UNKNOWN || counterpart === UNKNOWN;
  });
}
