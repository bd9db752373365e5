import { DEFAULT_REGION, fail } from '#model';
import type { FieldFault } from '#platform';
import type { EntityManager } from 'typeorm';
import { onViolation } from '../database/constraints.js';
import { placementMark } from '../publishing/index.js';
import type { WriteTx } from '../writes/write-tx.js';

/** What one API is to serve in one region; null for nothing. Digests are hexadecimal. */
export interface Placing {
  api: string;
  region: string;
  release: string | null;
}

/** What became of one placement; before and after are never the same. */
export interface PlacementChange {
  api: string;
  region: string;
  before: string | null;
  after: string | null;
}

/**
 * Placements of one environment change one transaction after the other: each sees what it replaces, and marks it. The
 * lock leaves foreign keys to the environment alone.
 *
 * @returns false when there is no such environment
 */
export async function lockPlacements(manager: EntityManager, environment: string): Promise<boolean> {
  const rows: unknown[] = await manager.query('SELECT FROM environment WHERE id = $1 FOR NO KEY UPDATE', [environment]);
  return rows.length > 0;
}

/** A fault of one item; `field` is one of its own. */
export interface PlacingFault extends FieldFault {
  index: number;
  field: 'api' | 'region' | 'release';
}

const MAX_FAULTS = 50;

interface Checked {
  n: number;
  api_known: boolean;
  region_known: boolean;
  region_of: string | null;
  release_known: boolean;
  release_of: string | null;
}

/** References that lead nowhere, in the order of the items, at most 50. Regions that are named cannot be deleted from here on. */
export async function faultsOfPlacings(
  manager: EntityManager,
  environment: string,
  items: readonly Placing[],
): Promise<PlacingFault[]> {
  const regions = [...new Set(items.map((item) => item.region))].sort();
  await manager.query('SELECT FROM region WHERE id = ANY($1::text[]) ORDER BY id FOR KEY SHARE', [regions]);
  const rows: Checked[] = await manager.query(CHECK, [environment, asJson(items)]);
  return rows.flatMap((row) => faultsOfRow(row, environment, items[row.n])).slice(0, MAX_FAULTS);
}

const ITEM = `jsonb_to_recordset($2::jsonb) AS i(n integer, api text, region text, release text)`;

const CHECK = `
  SELECT * FROM (
    SELECT i.n, a.id IS NOT NULL AS api_known,
           i.region = '${DEFAULT_REGION}' OR coalesce(g.environment_id = $1, false) AS region_known, g.environment_id AS region_of,
           i.release IS NULL OR coalesce(r.api_id = i.api, false) AS release_known, r.api_id AS release_of
    FROM ${ITEM}
    LEFT JOIN api a ON a.id = i.api
    LEFT JOIN region g ON g.id = i.region
    LEFT JOIN release r ON r.digest = decode(i.release, 'hex')
  ) c
  WHERE NOT (api_known AND region_known AND release_known) ORDER BY n LIMIT ${MAX_FAULTS}`;

function faultsOfRow(row: Checked, environment: string, item: Placing | undefined): PlacingFault[] {
  if (!item) return [];
  const faults: PlacingFault[] = [];
  if (!row.api_known) faults.push({ index: row.n, field: 'api', problem: `there is no API "${item.api}"` });
  if (!row.region_known) {
    const problem = row.region_of
      ? `the region "${item.region}" belongs to the environment "${row.region_of}"`
      : `there is no region "${item.region}"`;
    faults.push({ index: row.n, field: 'region', problem, expected: `a region of "${environment}", or *` });
  }
  if (row.api_known && !row.release_known) {
    const problem = row.release_of
      ? `${item.release} is a release of "${row.release_of}"`
      : `there is no release ${item.release}`;
    faults.push({ index: row.n, field: 'release', problem, expected: `the digest of a release of "${item.api}"` });
  }
  return faults;
}

/**
 * Makes it so, with marks and audit lines. The lock is held, and the items have no faults.
 *
 * @param reason for the audit log; undefined: whoever asks has told it there already
 */
export async function applyPlacings(
  tx: WriteTx,
  environment: string,
  items: readonly Placing[],
  reason?: string,
): Promise<PlacementChange[]> {
  const gone = () =>
    fail('unknown_reference', 'an API that was to be placed has just been deleted; nothing was placed');
  const changes: PlacementChange[] = await onViolation(
    tx.manager.query(APPLY, [environment, asJson(items), tx.caller.actor]),
    { placement_api_id_fkey: gone, placement_digest_fkey: gone },
  );
  for (const { api, region, before, after } of changes) {
    tx.mark([environment], placementMark(api, region));
    tx.audit({
      action: before === null ? 'placement.create' : after === null ? 'placement.delete' : 'placement.update',
      target: `placement/${environment}/${api}/${region}`,
      before: released(before),
      after: reason === undefined ? released(after) : { release: after, reason },
    });
  }
  return changes;
}

function released(release: string | null): object | null {
  return release === null ? null : { release };
}

const APPLY = `
  WITH item AS (
    SELECT i.api, i.region, p.digest AS before, decode(i.release, 'hex') AS after
    FROM ${ITEM}
    LEFT JOIN placement p ON p.environment_id = $1 AND p.api_id = i.api AND p.region = i.region
  ), changed AS (
    SELECT * FROM item WHERE before IS DISTINCT FROM after
  ), removed AS (
    DELETE FROM placement p USING changed c
    WHERE c.after IS NULL AND p.environment_id = $1 AND p.api_id = c.api AND p.region = c.region
  ), placed AS (
    INSERT INTO placement (environment_id, api_id, region, digest, updated_by)
    SELECT $1, api, region, after, $3 FROM changed WHERE after IS NOT NULL
    ON CONFLICT (environment_id, api_id, region) DO UPDATE
    SET digest = excluded.digest, version = placement.version + 1, updated_at = now(), updated_by = excluded.updated_by
  ), served AS (
    INSERT INTO placement_served (environment_id, api_id, digest)
    SELECT DISTINCT $1, c.api, d.digest FROM changed c CROSS JOIN LATERAL (VALUES (c.before), (c.after)) AS d(digest)
    WHERE d.digest IS NOT NULL ON CONFLICT DO NOTHING
  )
  SELECT api, region, encode(before, 'hex') AS before, encode(after, 'hex') AS after FROM changed`;

function asJson(items: readonly Placing[]): string {
  return JSON.stringify(items.map((item, n) => ({ n, ...item })));
}
