import { Inject, Injectable } from '@nestjs/common';
import { PUBLISHING_OPTIONS, type PublishingOptions, type Query } from './options.js';

@Injectable()
export class RevisionLookup {
  constructor(@Inject(PUBLISHING_OPTIONS) private readonly options: PublishingOptions) {}

  /**
   * The revision that carried a committed transaction's markers; the newest one when they said nothing new; null while
   * they wait. Revisions of another database, from before a restore, name other transactions by the same ids.
   *
   * @param xid in decimal
   * @param query of a transaction, where the caller is in one
   */
  async revisionOf(xid: string, environment: string, query: Query = this.options.query): Promise<number | null> {
    // one statement, one snapshot: markers leave the outbox in the same commit as their revision comes
    const [row] = await query<{ revision: string | null }>(
      `SELECT CASE WHEN EXISTS (SELECT FROM outbox WHERE environment_id = $2 AND xid = $1) THEN NULL ELSE coalesce(
         (SELECT max(r.revision) FROM revision r JOIN chain c USING (environment_id)
          WHERE r.xids @> ARRAY[$1::bigint] AND r.environment_id = $2 AND r.revision > c.xid_floor),
         (SELECT revision FROM chain WHERE environment_id = $2), 0) END AS revision`,
      [xid, environment],
    );
    return row === undefined || row.revision === null ? null : Number(row.revision);
  }
}
