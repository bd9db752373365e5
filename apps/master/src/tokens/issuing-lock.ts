import type { DataSource, EntityManager } from 'typeorm';

/*
 * That no token survives which was issued while all of its client's were being revoked. Whoever revokes takes the lock, then the
 * time, T, and holds the lock until its transaction is committed, however long that takes. Whoever issues takes the time t, then
 * sees that nobody has the lock, and only then reads the client:
 *
 *   the lock was taken after that:     t <= T, and `iat` is before the second that follows T
 *   it had been released before that:  the client that is read says since when its tokens count
 *
 * Nothing is written for that, and the lock of whoever issues is over with its statement.
 */

/** Any number that no other lock of two numbers has. */
const ISSUING = 4_711_011;

const REVOKE = 'SELECT pg_advisory_xact_lock($1, hashtext($2))';
const REVOKE_BEFORE = 'SELECT to_timestamp(floor(extract(epoch FROM clock_timestamp())) + 1) AS at';
/** `now()` is when the statement came: before its lock. */
const MOMENT = 'SELECT now() AS at WHERE pg_try_advisory_xact_lock_shared($1, hashtext($2))';

/** The first whole second of which no token can have been issued; `manager`: of the transaction that revokes those before. */
export async function soonestSecond(manager: EntityManager, client: string): Promise<Date> {
  await manager.query(REVOKE, [ISSUING, client]);
  const [row]: { at: Date }[] = await manager.query(REVOKE_BEFORE);
  if (!row) throw new Error('PostgreSQL does not say what time it is');
  return row.at;
}

/** @returns milliseconds since 1970, by PostgreSQL's clock, of which a token can be; null: its client's are being revoked */
export async function moment(source: DataSource, client: string): Promise<number | null> {
  const [row]: { at: Date }[] = await source.query(MOMENT, [ISSUING, client]);
  return row?.at.getTime() ?? null;
}
