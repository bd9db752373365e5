import { fail } from '#model';
import type { EntityManager } from 'typeorm';
import { applyPlacings, faultsOfPlacings, lockPlacements, type Placing } from '../topology/placement-batch.js';
import { promotionOpen } from '../topology/promotion-lock.js';
import type { WriteTx } from '../writes/write-tx.js';
import { onViolation } from '../database/constraints.js';
import type { PromotedRelease, PromotionRow } from './promotion-row.js';

type Place = Pick<PromotionRow, 'id' | 'environment' | 'releases'>;

/** What each of these regions is to serve. */
export function placingsOf(releases: readonly PromotedRelease[], regions: readonly string[]): Placing[] {
  return regions.flatMap((region) => releases.map(({ api, release }) => ({ api, region, release })));
}

/**
 * Places the releases in regions, and writes down what each had.
 *
 * @returns the id of the transaction, null where everything was as it is to be; or why it cannot be done
 */
export async function placeWave(
  tx: WriteTx,
  { id, environment, releases }: Place,
  wave: number,
  regions: readonly string[],
): Promise<{ xid: string | null } | { fault: string }> {
  if (!(await lockPlacements(tx.manager, environment)))
    return { fault: `there is no environment "${environment}" any more` };
  const items = placingsOf(releases, regions);
  const [fault] = await faultsOfPlacings(tx.manager, environment, items);
  if (fault) return { fault: `${fault.field}: ${fault.problem}` };
  // a second time would violate the key: each region gets each placement once
  await tx.manager.query(
    `INSERT INTO promotion_change (promotion_id, api_id, region, wave, before, after)
     SELECT $1, i.api, i.region, $3, p.digest, decode(i.release, 'hex')
     FROM jsonb_to_recordset($4::jsonb) AS i(api text, region text, release text)
     LEFT JOIN placement p ON p.environment_id = $2 AND p.api_id = i.api AND p.region = i.region`,
    [id, environment, wave, JSON.stringify(items)],
  );
  return { xid: await apply(tx, environment, items) };
}

/**
 * Gives every region that was changed what it had: that, and nothing else.
 *
 * @param wasClosed others may have placed something since
 * @returns the id of the transaction; null where nothing had been changed
 * @throws HelioError `conflict` where they have, which it would undo
 */
export async function restoreAll(tx: WriteTx, { id, environment }: Place, wasClosed: boolean): Promise<string | null> {
  if (!(await lockPlacements(tx.manager, environment)))
    throw fail('conflict', `there is no environment "${environment}" any more`);
  const changes: (Placing & { now: string | null; after: string | null })[] = await tx.manager.query(
    `SELECT c.api_id AS api, c.region, encode(c.before, 'hex') AS release, encode(c.after, 'hex') AS after, encode(p.digest, 'hex') AS now
     FROM promotion_change c LEFT JOIN placement p ON p.environment_id = $2 AND p.api_id = c.api_id AND p.region = c.region
     WHERE c.promotion_id = $1 AND c.before IS DISTINCT FROM c.after ORDER BY c.api_id, c.region`,
    [id, environment],
  );
  const other = wasClosed && changes.find(({ now, after }) => now !== after);
  if (other)
    throw fail(
      'conflict',
      `"${other.api}" in "${other.region}" has been given ${other.now ?? 'nothing'} since; POST /v1/rollbacks goes back to a release that you name`,
    );
  await tx.manager.query(
    'UPDATE promotion_change SET restored_at = now() WHERE promotion_id = $1 AND before IS DISTINCT FROM after',
    [id],
  );
  return apply(
    tx,
    environment,
    changes.map(({ api, region, release }) => ({ api, region, release })),
  );
}

async function apply(tx: WriteTx, environment: string, items: readonly Placing[]): Promise<string | null> {
  const changes = await applyPlacings(tx, environment, items);
  if (changes.length === 0) return null;
  const [row]: { xid: string }[] = await tx.manager.query('SELECT pg_current_xact_id()::text AS xid');
  return row?.xid ?? null;
}

/** Takes the APIs: nobody else places them in the environment until it is closed. @throws HelioError `promotion_open` */
export async function openLocks(manager: EntityManager, { id, environment, releases }: Place): Promise<void> {
  if (!(await lockPlacements(manager, environment))) throw fail('conflict', `there is no environment "${environment}"`);
  const taken: { api: string; promotion: string }[] = await onViolation(
    manager.query(
      `WITH wanted AS (SELECT unnest($3::text[]) AS api), held AS (
         SELECT l.api_id, l.promotion_id FROM promotion_lock l JOIN wanted w ON w.api = l.api_id WHERE l.environment_id = $2
       ), locked AS (
         INSERT INTO promotion_lock (environment_id, api_id, promotion_id)
         SELECT $2, api, $1 FROM wanted WHERE NOT EXISTS (SELECT FROM held)
       )
       SELECT api_id AS api, promotion_id AS promotion FROM held ORDER BY api_id`,
      [id, environment, releases.map(({ api }) => api)],
    ),
    { promotion_lock_api_id_fkey: () => fail('unknown_reference', 'an API of it has just been deleted') },
  );
  if (taken[0]) throw promotionOpen(environment, taken[0]);
}

export async function closeLocks(manager: EntityManager, { id }: Place): Promise<void> {
  await manager.query('DELETE FROM promotion_lock WHERE promotion_id = $1', [id]);
}
