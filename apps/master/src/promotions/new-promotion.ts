import { DEFAULT_REGION, fail, type HelioError } from '#model';
import type { EntityManager } from 'typeorm';
import { faultsOfPlacings, lockPlacements, type PlacingFault } from '../topology/placement-batch.js';
import { placingsOf } from './promotion-changes.js';
import type { PromotedRelease, Wave } from './promotion-row.js';
import type { NewPromotion } from './promotions.endpoints.js';
import type { Strategy } from './strategy.js';

/** Of all waves together, as many as `/placements` takes at once. */
const MOST_PLACINGS = 5_000;

/** @param body that its schema has found nothing wrong with */
export function releasesOf({ api, release, releases }: NewPromotion): PromotedRelease[] {
  return releases ?? (api !== undefined && release !== undefined ? [{ api, release }] : []);
}

/** What the environment is, its placements locked. @throws HelioError `unknown_reference` */
export async function lockEnvironment(
  manager: EntityManager,
  environment: string,
  field: string,
): Promise<{ before: string | null; approvals: number }> {
  if (!(await lockPlacements(manager, environment))) throw unknown(field, `there is no environment "${environment}"`);
  const [row]: { before: string | null; approvals: number | null }[] = await manager.query(
    `SELECT (SELECT b.id FROM environment b WHERE b.position < e.position ORDER BY b.position DESC, b.id LIMIT 1) AS before,
       (SELECT approvals FROM promotion_policy WHERE environment_id = e.id) AS approvals
     FROM environment e WHERE e.id = $1`,
    [environment],
  );
  return { before: row?.before ?? null, approvals: row?.approvals ?? 0 };
}

/** All regions, and those that there will be, if anything is placed for them. */
async function everywhere(
  manager: EntityManager,
  environment: string,
  releases: readonly PromotedRelease[],
): Promise<string[]> {
  const rows: { id: string }[] = await manager.query(
    `SELECT id FROM region WHERE environment_id = $1
     UNION SELECT region FROM placement WHERE environment_id = $1 AND region = '${DEFAULT_REGION}' AND api_id = ANY($2::text[]) ORDER BY 1`,
    [environment, releases.map(({ api }) => api)],
  );
  if (rows.length === 0) throw unknown('to', `the environment "${environment}" has no region`);
  return rows.map(({ id }) => id);
}

/** Where every one of the APIs has a placement. @throws HelioError `unknown_reference` where that is not the same for all of them */
export async function whereverPlaced(
  manager: EntityManager,
  environment: string,
  releases: readonly PromotedRelease[],
): Promise<string[]> {
  const rows: { region: string; apis: number }[] = await manager.query(
    `SELECT region, count(*)::int AS apis FROM placement WHERE environment_id = $1 AND api_id = ANY($2::text[]) GROUP BY region ORDER BY region`,
    [environment, releases.map(({ api }) => api)],
  );
  if (rows.length === 0) throw unknown('regions', `none of the APIs is placed in "${environment}"; name the regions`);
  const partly = rows.find(({ apis }) => apis < releases.length);
  if (partly) throw unknown('regions', `not all of the APIs are placed in "${partly.region}"; name the regions`);
  return rows.map(({ region }) => region);
}

export async function wavesOf(
  manager: EntityManager,
  environment: string,
  releases: readonly PromotedRelease[],
  { waves, soak }: Strategy,
): Promise<Wave[]> {
  const all = waves === 'all-at-once' ? [await everywhere(manager, environment, releases)] : waves;
  return all.map((regions, n) => ({ regions: [...regions], soak: Array.isArray(soak) ? (soak[n] ?? 0) : soak }));
}

/** @throws HelioError `unknown_reference` that names each fault where it stands in the request; `invalid_request` for too many */
export async function refuseFaults(
  manager: EntityManager,
  environment: string,
  releases: readonly PromotedRelease[],
  regions: readonly string[],
  nameOf: { release: (index: number, field: string) => string; region: (region: string) => string },
): Promise<void> {
  if (releases.length * regions.length > MOST_PLACINGS)
    throw fail(
      'invalid_request',
      `${releases.length} releases in ${regions.length} regions are more than ${MOST_PLACINGS} placements`,
    );
  const items = placingsOf(releases, regions);
  const faults = await faultsOfPlacings(manager, environment, items);
  const fields = new Map<string, Omit<PlacingFault, 'index'>>();
  for (const { index, field, ...fault } of faults) {
    const place =
      field === 'region' ? nameOf.region(items[index]?.region ?? '') : nameOf.release(index % releases.length, field);
    fields.set(place, { ...fault, field });
  }
  if (fields.size === 0) return;
  const named = [...fields].map(([field, fault]) => ({ ...fault, field }));
  throw fail('unknown_reference', `${named[0]?.field}: ${named[0]?.problem}`, { fields: named });
}

export function unknown(field: string, problem: string): HelioError {
  return fail('unknown_reference', `${field}: ${problem}`, { fields: [{ field, problem }] });
}
