import type { Statement } from '../session.js';
import type { Term } from '../term.js';

const VOUCH: Statement = {
  name: 'office_vouch',
  text: `SELECT count(*) AS known, count(*) FILTER (WHERE r.reported_at > $2::timestamptz) AS heard,
           count(*) FILTER (WHERE r.reported_at > $2::timestamptz AND (
             r.revision > $3 OR (r.revision > 0 AND (r.status ->> 'revision')::bigint = r.revision AND v.hash <> decode(r.status ->> 'hash', 'hex'))
           )) AS elsewhere
         FROM replica r JOIN region g ON g.id = r.region_id
         LEFT JOIN revision v ON v.environment_id = $1 AND v.revision = r.revision
         WHERE g.environment_id = $1`,
};

/**
 * Whether replicas prove that nothing is forgotten: every one that this database knows has reported since, and none of
 * them has a revision that is not here.
 *
 * @param since by the database's clock
 */
export async function replicasVouch(
  { session, environment, revision }: Term,
  since: string,
): Promise<{ vouch: boolean; known: number; missing: string }> {
  const [row] = await session.rows<{ known: string; heard: string; elsewhere: string }>(VOUCH, [
    environment,
    since,
    revision,
  ]);
  const [known, heard, elsewhere] = [row?.known, row?.heard, row?.elsewhere].map(Number) as [number, number, number];
  const missing =
    known === 0
      ? 'no replica could tell either'
      : `${heard} of ${known} replicas have reported since, ${elsewhere} of them with revisions that are not here`;
  return { vouch: known > 0 && heard === known && elsewhere === 0, known, missing };
}
