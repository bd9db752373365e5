import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { HOUR_MS, type UsageReport } from '#model';
import { Pool } from 'undici';
import { postgresVersion } from './bare-rows.js';
import { type LoneMaster, startLoneMaster } from './lone-master.js';
import { machineLine, spread } from './machine.js';
import { numbersFrom, say } from './options.js';

const { subscriptions, apis, reports } = numbersFrom(
  `
30 days of usage by the hour, each of many subscriptions in one of three regions with a count in each hour, put into PostgreSQL as
reports would have left it: what typical questions to GET /v1/usage take, a whole export, and what it takes to merge a report of
500 counts.`,
  { subscriptions: 100_000, apis: 100, reports: 40 },
);
const DAYS = 30;
const ROUNDS = 3;
const EXPORT_ROWS = 1_000_000;
const REGIONS = ['eu', 'us', 'ap'];
const UUID = '00000000-0000-4000-8000-';
const uuidOf = (number: string): string => `('${UUID}' || lpad(to_hex(${number}), 12, '0'))::uuid`;
/** Applications have two subscriptions each. */
const APPLICATION = `${UUID}${'1'.padStart(12, '0')}`;

/** In the order in which reports would have brought it: day by day. */
const FILL = [
  `INSERT INTO usage_series (series, replica, region, environment)
   SELECT gen_random_uuid(), r || '-1', r, 'prod' FROM unnest(ARRAY[${REGIONS.map((region) => `'${region}'`).join()}]) r`,
  `INSERT INTO application (id, name) SELECT ${uuidOf('n')}, 'application ' || n FROM generate_series(1, ${subscriptions / 2}) n`,
  `INSERT INTO usage_subject (subscription, application, api)
   SELECT ${uuidOf('n')}, ${uuidOf('(n + 1) / 2')}, 'api-' || n % ${apis} || ':v1' FROM generate_series(1, ${subscriptions}) n`,
  ...Array.from(
    { length: DAYS },
    (_, day) => `
    INSERT INTO usage_day (day, subject, series, admitted, rate_limited)
    SELECT (now() AT TIME ZONE 'UTC')::date - ${DAYS - 1 - day}, id, 1 + id % ${REGIONS.length},
      ARRAY(SELECT 1 + (id * 7 + h * 13) % 997 FROM generate_series(1, 24) h), CASE WHEN id % 20 = 0 THEN array_fill(3::bigint, ARRAY[24]) END
    FROM usage_subject ORDER BY id`,
  ),
  `INSERT INTO usage_month (month, subject, series, admitted, rate_limited)
   SELECT date_trunc('month', day)::date, subject, series,
     (SELECT array_agg(coalesce(d.sum, 0) ORDER BY i) FROM generate_series(1, 31) i LEFT JOIN unnest(array_agg(extract(day FROM u.day)::integer), array_agg(u.sum)) AS d (i, sum) USING (i)),
     CASE WHEN subject % 20 = 0 THEN array_fill(72::bigint, ARRAY[31]) END
   FROM (SELECT *, (SELECT sum(n)::bigint FROM unnest(admitted) n) AS sum FROM usage_day) u GROUP BY 1, 2, 3`,
  `INSERT INTO usage_api_day (day, environment, region, api, admitted, rate_limited)
   SELECT u.day, s.environment, s.region, j.api, ARRAY[${slots('admitted')}], ARRAY[${slots('rate_limited')}]
   FROM usage_day u JOIN usage_series s ON s.id = u.series JOIN usage_subject j ON j.id = u.subject GROUP BY 1, 2, 3, 4`,
  'VACUUM ANALYZE',
];

function slots(column: string): string {
  return Array.from({ length: 24 }, (_, i) => `coalesce(sum(u.${column}[${i + 1}]), 0)::bigint`).join();
}

const QUESTIONS: Record<string, string> = {
  'one sum of all, 30 days': '',
  'totals by API, 30 days': 'groupBy=api&limit=200',
  'all by region and hour, 30 days: the first 200 rows': 'groupBy=region,hour&limit=200',
  "one application's hours, 30 days: the first 200 rows": `groupBy=subscription,hour&application=${APPLICATION}&limit=200`,
  'one application by day': `groupBy=day&application=${APPLICATION}&limit=200`,
  'top applications, 30 days': 'groupBy=application&order=most&limit=50',
  'top subscriptions of an API, 30 days': 'groupBy=subscription&order=most&api=api-1:v1&limit=50',
  'every subscription by hour: the first 200 rows': 'groupBy=subscription,hour&limit=200',
};

async function filled(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const began = performance.now();
    for (const statement of FILL) await client.query(statement);
    const { rows } = await client.query<{ hours: string; rows: string; bytes: string; rest: string }>(
      `SELECT (SELECT count(*) * 24 FROM usage_day) AS hours, (SELECT count(*) FROM usage_day) AS rows,
         pg_total_relation_size('usage_day') AS bytes,
         pg_total_relation_size('usage_month') + pg_total_relation_size('usage_api_day') + pg_total_relation_size('usage_subject') AS rest`,
    );
    const [row] = rows;
    const mib = (bytes: string | undefined): string => `${Math.round(Number(bytes) / 2 ** 20)} MiB`;
    say(
      `${row?.hours} subscription-hours in ${row?.rows} rows of ${mib(row?.bytes)}, sums and names ${mib(row?.rest)}; filled in ${Math.round((performance.now() - began) / 1000)} s`,
    );
  } finally {
    await client.end();
  }
}

async function asked({ url, adminToken }: LoneMaster): Promise<void> {
  const pool = new Pool(url, { connections: 1, headersTimeout: 0, bodyTimeout: 0 });
  const headers = { authorization: `Bearer ${adminToken}` };
  for (const [what, query] of Object.entries(QUESTIONS)) {
    const took: number[] = [];
    let items = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const began = performance.now();
      const { body, statusCode } = await pool.request({ method: 'GET', path: `/v1/usage?${query}`, headers });
      const answer = (await body.json()) as { items?: unknown[] };
      took.push(performance.now() - began);
      if (statusCode !== 200 || !answer.items) throw new Error(`${what}: ${statusCode} ${JSON.stringify(answer)}`);
      items = answer.items.length;
    }
    say(`${what} (budget 1 s): ${spread(took, 'ms')}, ${items} rows`);
  }
  const began = performance.now();
  const path = '/v1/usage?groupBy=subscription,hour&format=csv';
  const { body } = await pool.request({ method: 'GET', path, headers });
  let [first, rows, bytes] = [0, 0, 0];
  for await (const chunk of body as AsyncIterable<Buffer>) {
    if (bytes === 0) first = performance.now() - began;
    bytes += chunk.length;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) rows += 1;
    if (rows > EXPORT_ROWS) break;
  }
  const seconds = (performance.now() - began) / 1000;
  say(
    `CSV of every subscription by hour: first byte after ${Math.round(first)} ms, ${Math.round(rows / seconds).toLocaleString('en')} rows/s, ${(bytes / seconds / 2 ** 20).toFixed(1)} MiB/s (of the first ${rows.toLocaleString('en')} rows)`,
  );
  await pool.destroy();
}

/** The same subscriptions again and again, as an hour goes on. */
async function merged({ url, adminToken }: LoneMaster): Promise<void> {
  const pool = new Pool(url, { connections: 1 });
  const call = async (path: string, token: string, body: object): Promise<{ token?: string }> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const answer = await pool.request({ method: 'POST', path, headers, body: JSON.stringify(body) });
    const json = (await answer.body.json()) as { token?: string };
    if (answer.statusCode >= 300) throw new Error(`${path}: ${answer.statusCode} ${JSON.stringify(json)}`);
    return json;
  };
  await call('/v1/environments', adminToken, { id: 'prod', position: 1 });
  await call('/v1/regions', adminToken, { id: 'eu', environment: 'prod' });
  const { token: joinToken } = await call('/v1/join-tokens', adminToken, { region: 'eu' });
  const joining = { token: joinToken, environment: 'prod', region: 'eu', build: 'bench' };
  const { token = '' } = await call('/v1/replicas/join', adminToken, joining);
  const subjects = Array.from({ length: 500 }, (_, i) => ({
    subscription: randomUUID(),
    application: randomUUID(),
    api: `api-${i % apis}:v1` as `${string}:${string}`,
  }));
  const took: number[] = [];
  const series = randomUUID();
  for (let round = 1; round <= reports; round++) {
    const counts = subjects.map((subject) => ({ ...subject, admitted: round, rateLimited: 0, quotaExhausted: 0 }));
    const report: UsageReport = { series, hour: Math.floor(Date.now() / HOUR_MS), counts, keys: [], clients: [] };
    const began = performance.now();
    await call('/v1/replicas/usage', token, report);
    took.push(performance.now() - began);
  }
  say(`a report of 500 counts, all grown, merged into what is there: ${spread(took, 'ms')}`);
  await pool.close();
}

const master = await startLoneMaster();
try {
  say(`${machineLine()}, ${await postgresVersion(master.databaseUrl)}`);
  await filled(master.databaseUrl);
  await asked(master);
  await merged(master);
} finally {
  await master.stop();
}
