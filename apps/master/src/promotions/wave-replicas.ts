import type { Nack } from '#model';
import { type Position, missingFor } from '../fleet/applied.js';
import { ITS_CHAIN, STRANGE } from '../fleet/fleet-sql.js';
import type { Query } from '../publishing/options.js';
import type { PromotedRelease } from './promotion-row.js';

interface WaveReplica extends Position {
  newest: number;
  nacks: Nack[] | null;
}

/** see `RevisionLookup` */
export type RevisionOf = (xid: string, environment: string, query: Query) => Promise<number | null>;

/** Replicas of a wave that have not got it, and those that cannot use it. */
export interface WaveStanding {
  replicas: number;
  missing: Position[];
  refusing: { replica: string; region: string; nack: Nack }[];
}

/**
 * Where the replicas stand that the regions' placements reach. Silent ones count like all others.
 *
 * @param regions with `*` for regions in which some of the APIs has no placement of its own
 */
export async function standingOfWave(
  query: Query,
  environment: string,
  regions: readonly string[],
  releases: readonly PromotedRelease[],
  revision: number,
): Promise<WaveStanding> {
  const apis = releases.map(({ api }) => api);
  const rows = await query<WaveReplica>(REPLICAS, [environment, regions, apis]);
  const concerns = new Set([
    ...releases.map(({ release }) => `release ${release}`),
    ...regions.flatMap((region) => apis.map((api) => `placement ${api}@${region}`)),
  ]);
  return {
    replicas: rows.length,
    missing: missingFor({ by: 'all' }, revision, rows, Math.max(revision, ...rows.map(({ newest }) => newest))),
    refusing: rows.flatMap(({ replica, region, nacks }) =>
      (nacks ?? [])
        .filter((nack) => nack.revision >= revision && concerns.has(`${nack.table} ${nack.key}`))
        .map((nack) => ({ replica, region, nack })),
    ),
  };
}

const REPLICAS = `
  SELECT r.id AS replica, r.region_id AS region, coalesce(r.revision, 0)::float8 AS revision, ${STRANGE} AS strange,
         coalesce(c.revision, 0)::float8 AS newest, r.status->'nacks' AS nacks
  FROM replica r JOIN region g ON g.id = r.region_id ${ITS_CHAIN}
  WHERE g.environment_id = $1 AND (r.region_id = ANY($2::text[]) OR '*' = ANY($2::text[]) AND EXISTS (
    SELECT FROM unnest($3::text[]) AS a(api)
    WHERE NOT EXISTS (SELECT FROM placement p WHERE p.environment_id = $1 AND p.api_id = a.api AND p.region = r.region_id)))
  ORDER BY r.id`;
