import type { Query } from '../options.js';
import type { Position } from './store-head.js';

export interface StoredRevision extends Position {
  issuedAt: Date;
  bytes: Buffer;
}

const MOST_REVISIONS = 64;
const MOST_BYTES = 16 * 1024 * 1024;

/** The revisions that follow `after`: some of them, in order, with few bytes together or one large one; none at the end. */
export async function revisionsAfter(query: Query, environment: string, after: number): Promise<StoredRevision[]> {
  const rows = await query<Omit<StoredRevision, 'revision' | 'issuedAt'> & { revision: string; issued_at: Date }>(
    `SELECT r.revision, r.hash, r.root, r.issued_at, r.bytes FROM revision r JOIN (
       SELECT revision, sum(octet_length(bytes)) OVER (ORDER BY revision) - octet_length(bytes) AS bytes_before FROM (
         SELECT revision, bytes FROM revision WHERE environment_id = $1 AND revision > $2 ORDER BY revision LIMIT ${MOST_REVISIONS}
       ) AS next
     ) AS sized USING (revision) WHERE r.environment_id = $1 AND sized.bytes_before < ${MOST_BYTES} ORDER BY r.revision`,
    [environment, after],
  );
  return rows.map(({ revision, issued_at: issuedAt, ...row }, index) => {
    if (Number(revision) !== after + 1 + index)
      throw new Error(`revision ${after + 1 + index} of ${environment} is missing in the database`);
    return { revision: Number(revision), issuedAt, ...row };
  });
}
