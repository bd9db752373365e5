import type { Query } from '../publishing/options.js';
import type { PromotedRelease } from './promotion-row.js';
import { type RevisionOf, standingOfWave } from './wave-replicas.js';

/**
 * Whether releases are placed in an environment, in one region at the least, and are not just being tried there.
 *
 * @param environment null: there is none before, and nothing to ask for
 * @returns what is wrong with the first of them, or null
 */
export async function placedBefore(
  query: Query,
  environment: string | null,
  releases: readonly PromotedRelease[],
): Promise<string | null> {
  if (environment === null) return null;
  const [row] = await query<{ api: string; release: string; open: string | null }>(
    `SELECT i.api, i.release, l.promotion_id AS open FROM jsonb_to_recordset($2::jsonb) AS i(api text, release text)
     LEFT JOIN (promotion_lock l JOIN promotion_release r ON r.promotion_id = l.promotion_id AND r.api_id = l.api_id)
       ON l.environment_id = $1 AND l.api_id = i.api AND r.digest = decode(i.release, 'hex')
     WHERE l.promotion_id IS NOT NULL OR NOT EXISTS (
       SELECT FROM placement p WHERE p.environment_id = $1 AND p.api_id = i.api AND p.digest = decode(i.release, 'hex'))
     ORDER BY i.api LIMIT 1`,
    [environment, JSON.stringify(releases)],
  );
  if (!row) return null;
  return row.open
    ? `"${row.api}" is being promoted in "${environment}", by ${row.open}`
    : `the release ${row.release} of "${row.api}" does not serve in "${environment}", the environment before`;
}

/** The same, and that a replica there has acknowledged each. Where the placements reach no replica, they are what counts. */
export async function serveBefore(
  { query, revisionOf }: { query: Query; revisionOf: RevisionOf },
  environment: string | null,
  releases: readonly PromotedRelease[],
): Promise<string | null> {
  const fault = await placedBefore(query, environment, releases);
  if (environment === null || fault !== null) return fault;
  const placed = await query<{ api: string; release: string; regions: string[]; xid: string | null }>(
    `SELECT p.api_id AS api, encode(p.digest, 'hex') AS release, array_agg(p.region) AS regions, max(
       (SELECT a.xid FROM audit a WHERE a.target = 'placement/' || $1 || '/' || p.api_id || '/' || p.region ORDER BY a.id DESC LIMIT 1))::text AS xid
     FROM placement p JOIN jsonb_to_recordset($2::jsonb) AS i(api text, release text) ON p.api_id = i.api AND p.digest = decode(i.release, 'hex')
     WHERE p.environment_id = $1 GROUP BY p.api_id, p.digest`,
    [environment, JSON.stringify(releases)],
  );
  for (const { api, release, regions, xid } of placed) {
    const revision = xid === null ? 0 : await revisionOf(xid, environment, query);
    const text = `the release ${release} of "${api}" is placed in "${environment}", the environment before`;
    if (revision === null) return `${text}, and not published there yet`;
    const { replicas, missing, refusing } = await standingOfWave(
      query,
      environment,
      regions,
      [{ api, release }],
      revision,
    );
    const [first] = refusing;
    if (first) return `${text}, where ${first.replica} cannot use it: ${first.nack.code}, ${first.nack.detail}`;
    if (replicas > 0 && missing.length === replicas)
      return `${text}, and none of its ${replicas} replicas there has it yet`;
  }
  return null;
}
