import { DEFAULT_REGION } from '#model';
import type { Query } from '../publishing/options.js';
import { NOTHING, type Numbers, sum, type WaveNumbers } from './gates.js';
import { type PromotionRow, waveOf } from './promotion-row.js';
import { BEFORE_MINUTES, type RegionNumbers, type ReleaseNumbers } from './release-numbers.js';

/**
 * What gates decide on. What served before the wave is measured by what the promotion took the place of, and by nothing else that was
 * there for a while: releases that were rolled back a moment ago would excuse this one.
 */
export async function numbersOfWave(query: Query, numbers: ReleaseNumbers, row: PromotionRow): Promise<WaveNumbers[]> {
  const began = row.waveSince ?? row.stateSince;
  const wave = await regionsOf(query, row, waveOf(row)?.regions ?? []);
  const begun = row.waves.slice(0, row.wave).flatMap(({ regions }) => regions);
  const changed = await regionsOf(query, row, begun);
  const apis = row.releases.map(({ api }) => api);
  const after = await numbers.between(row.environment, apis, row.countedSince ?? began, null);
  const earliest = new Date(began.getTime() - BEFORE_MINUTES * 60_000);
  const before = await numbers.between(row.environment, apis, earliest, began);
  const replaced = await replacedBy(query, row);
  return row.releases.map(({ api, release }) => {
    const isOwn = (one: RegionNumbers): boolean => one.release === release;
    const [now, then] = [after, before].map((all) => all.filter((one) => one.api === api));
    return {
      api,
      regions: byRegion(wave, now?.filter(isOwn)),
      elsewhere: added(now?.filter((one) => !isOwn(one) && !changed.has(one.region))),
      before: byRegion(
        wave,
        then?.filter((one) => !isOwn(one) && replaced.has(`${api} ${one.release}`)),
      ),
    };
  });
}

function byRegion(regions: ReadonlySet<string>, all: readonly RegionNumbers[] = []): Map<string, Numbers> {
  return new Map([...regions].map((region) => [region, added(all.filter((one) => one.region === region))]));
}

function added(all: readonly RegionNumbers[] = []): Numbers {
  return all.length === 0 ? NOTHING : sum(all.map(({ numbers }) => numbers));
}

/** `<api> <release>` that it goes back to, or that regions without a placement of their own have had. */
async function replacedBy(query: Query, { id, environment }: PromotionRow): Promise<Set<string>> {
  const rows = await query<{ what: string }>(
    `SELECT api_id || ' ' || encode(before, 'hex') AS what FROM promotion_change WHERE promotion_id = $1 AND before IS NOT NULL
     UNION SELECT p.api_id || ' ' || encode(p.digest, 'hex') FROM placement p JOIN promotion_release r ON r.api_id = p.api_id AND r.promotion_id = $1
     WHERE p.environment_id = $2 AND p.region = '${DEFAULT_REGION}'`,
    [id, environment],
  );
  return new Set(rows.map(({ what }) => what));
}

/** With the regions that `*` stands for. */
async function regionsOf(query: Query, row: PromotionRow, regions: readonly string[]): Promise<Set<string>> {
  if (!regions.includes(DEFAULT_REGION)) return new Set(regions);
  const rows = await query<{ id: string }>(
    `SELECT g.id FROM region g WHERE g.environment_id = $1 AND EXISTS (
       SELECT FROM unnest($2::text[]) AS a(api)
       WHERE NOT EXISTS (SELECT FROM placement p WHERE p.environment_id = $1 AND p.api_id = a.api AND p.region = g.id))`,
    [row.environment, row.releases.map(({ api }) => api)],
  );
  return new Set([...regions, ...rows.map(({ id }) => id)].filter((region) => region !== DEFAULT_REGION));
}
