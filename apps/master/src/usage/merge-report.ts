import { HOUR_MS, type UsageReport } from '#model';
import type { EntityManager } from 'typeorm';

/** A replica that reports, by its token: it can tell of its own region only. */
export interface Reporter {
  id: string;
  region: string;
  environment: string;
}

/** In place of a subscription, where an API is open. */
export const NO_SUBSCRIPTION = '00000000-0000-0000-0000-000000000000';

/** The row is locked until the transaction ends: reports of one series, whichever masters they come to, are merged one after the other. */
export async function seriesOf(manager: EntityManager, replica: Reporter, series: string): Promise<number> {
  const [row]: { id: number }[] = await manager.query(
    `INSERT INTO usage_series (series, replica, region, environment) VALUES ($1, $2, $3, $4)
     ON CONFLICT (series, replica, region, environment) DO UPDATE SET reported_at = now() RETURNING id`,
    [series, replica.id, replica.region, replica.environment],
  );
  if (!row) throw new Error('an upsert returned no row');
  return row.id;
}

/** Where counts are greater than what is known of the series, and hour: the difference is added to all sums. */
export async function mergeCounts(
  manager: EntityManager,
  { environment, region }: Reporter,
  series: number,
  { counts, hour }: UsageReport,
): Promise<void> {
  const told = [
    counts.map(({ subscription }) => subscription ?? NO_SUBSCRIPTION),
    counts.map(({ application }) => application),
    counts.map(({ api }) => api),
  ];
  await manager.query(NEW_SUBJECTS, told);
  const [day] = new Date(hour * HOUR_MS).toISOString().split('T');
  const numbers = [
    counts.map(({ admitted }) => admitted),
    counts.map(({ rateLimited }) => rateLimited),
    counts.map(({ quotaExhausted }) => quotaExhausted),
  ];
  await manager.query(MERGE, [...told, ...numbers, day, (hour % 24) + 1, series, environment, region]);
}

/**
 * What is told, by subject. Of a subscription that exists the application and the API are its own; of one that was deleted before
 * it was ever told of, those that the replica served it under, which were signed.
 */
const TOLD = `
  told AS (
    SELECT t.subscription, coalesce(s.application_id, t.application) AS application, coalesce(s.api_id, t.api) AS api, t.n
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY AS t (subscription, application, api, n)
      LEFT JOIN subscription s ON s.id = t.subscription
  )`;

// in one order, so that two reports that wait for each other's new rows do not do so for ever
const NEW_SUBJECTS = `
  WITH ${TOLD}
  INSERT INTO usage_subject (subscription, application, api)
  SELECT subscription, application, api FROM told t
  WHERE NOT EXISTS (SELECT FROM usage_subject j WHERE j.subscription = t.subscription AND j.api = t.api)
  ORDER BY subscription, api ON CONFLICT DO NOTHING`;

const columns = ['admitted', 'rate_limited', 'quota_exhausted'] as const;

/** @param more SQL of a column's growth @param slot SQL @param size how many slots */
const slotsOf = (size: number, slot: string, more: (column: string) => string): string =>
  columns.map((column) => `usage_add(NULL, ${size}, ${slot}, ${more(column)})`).join(', ');
const adding = (size: number, slot: string): string =>
  columns.map((column) => `${column} = usage_add(u.${column}, ${size}, ${slot}, excluded.${column}[${slot}])`).join();

const DAY = '$7::date';
const HOUR = '$8::integer';
const DAY_OF_MONTH = `extract(day FROM ${DAY})::integer`;

const MERGE = `
  WITH ${TOLD}, numbers AS (
    SELECT j.id AS subject, j.api, max(v.admitted) AS admitted, max(v.rate_limited) AS rate_limited,
      max(v.quota_exhausted) AS quota_exhausted
    FROM told t JOIN unnest($4::bigint[], $5::bigint[], $6::bigint[]) WITH ORDINALITY
        AS v (admitted, rate_limited, quota_exhausted, n) USING (n)
      JOIN usage_subject j ON j.subscription = t.subscription AND j.api = t.api
    GROUP BY j.id, j.api
  ), more AS (
    SELECT n.subject, n.api, ${columns
      .map((column) => `greatest(0, n.${column} - coalesce(u.${column}[${HOUR}], 0)) AS ${column}`)
      .join()}
    FROM numbers n LEFT JOIN usage_day u ON u.day = ${DAY} AND u.subject = n.subject AND u.series = $9
  ), days AS (
    INSERT INTO usage_day AS u (day, subject, series, ${columns.join()})
    SELECT ${DAY}, subject, $9, ${slotsOf(24, HOUR, (column) => column)} FROM more
    WHERE admitted + rate_limited + quota_exhausted > 0
    ON CONFLICT (day, subject, series) DO UPDATE SET ${adding(24, HOUR)}
  ), months AS (
    INSERT INTO usage_month AS u (month, subject, series, ${columns.join()})
    SELECT date_trunc('month', ${DAY})::date, subject, $9, ${slotsOf(31, DAY_OF_MONTH, (column) => column)} FROM more
    WHERE admitted + rate_limited + quota_exhausted > 0
    ON CONFLICT (month, subject, series) DO UPDATE SET ${adding(31, DAY_OF_MONTH)}
  )
  INSERT INTO usage_api_day AS u (day, environment, region, api, ${columns.join()})
  SELECT ${DAY}, $10, $11, api, ${slotsOf(24, HOUR, (column) => `sum(${column})::bigint`)} FROM more
  GROUP BY api HAVING sum(admitted + rate_limited + quota_exhausted) > 0 ORDER BY api
  ON CONFLICT (day, environment, region, api) DO UPDATE SET ${adding(24, HOUR)}`;

/** When keys and clients were used last; not more often than once an hour each. Rows are locked in one order. */
export async function noteUses(manager: EntityManager, environment: string, report: UsageReport): Promise<void> {
  const { clients, hour, keys } = report;
  const used = [
    ['api_key', keys],
    ['oauth_client', clients],
  ] as const;
  for (const [table, ids] of used) {
    if (ids.length === 0) continue;
    await manager.query(
      `UPDATE ${table} SET last_used_at = to_timestamp($3::bigint) WHERE id IN (
         SELECT id FROM ${table} WHERE environment_id = $1 AND chain_id = ANY (SELECT decode(unnest($2::text[]), 'hex'))
           AND (last_used_at IS NULL OR last_used_at < to_timestamp($3::bigint)) ORDER BY id FOR UPDATE)`,
      [environment, ids, (hour * HOUR_MS) / 1000],
    );
  }
}
