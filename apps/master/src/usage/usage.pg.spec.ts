import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR_MS } from '#model';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';
import { UsageBook } from './usage-book.js';
import type { UsageRow } from './usage.endpoints.js';
import { UsageSweep } from './usage-sweep.js';
import { pino } from 'pino';

/** One count as it was told. */
interface Told {
  hour: number;
  environment: string;
  region: string;
  api: string;
  application: string | null;
  subscription: string | null;
  counts: [number, number, number];
}

let app: StartedApp;
const told: Told[] = [];
/** the first hour of today */
const TODAY = Math.floor(Date.now() / HOUR_MS / 24) * 24;
const APPLICATIONS = [randomUUID(), randomUUID()];
const SUBJECTS = [
  { subscription: randomUUID(), application: APPLICATIONS[0] as string, api: 'weather:v1' },
  { subscription: randomUUID(), application: APPLICATIONS[0] as string, api: 'maps:v1' },
  { subscription: randomUUID(), application: APPLICATIONS[1] as string, api: 'weather:v1' },
  { subscription: null, application: null, api: 'open:v1' },
];

beforeAll(async () => {
  app = await startApp();
  await app.source.query(`INSERT INTO application (id, name) VALUES ($1, '=cmd("x"),1')`, [APPLICATIONS[0]]);
  const book = new UsageBook(app.source);
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let i = 0; i < 160; i++) {
    const place = [
      { id: 'eu-1', region: 'eu', environment: 'prod' },
      { id: 'eu-2', region: 'eu', environment: 'prod' },
      { id: 'us-1', region: 'us', environment: 'prod' },
      { id: 'dev-1', region: 'lab', environment: 'dev' },
    ][random(4)] as { id: string; region: string; environment: string };
    const hour = TODAY - random(40 * 24);
    const counts = SUBJECTS.filter(() => random(2) === 0).map((subject) => ({
      ...subject,
      api: subject.api as `${string}:${string}`,
      admitted: random(50),
      rateLimited: random(3) * random(5),
      quotaExhausted: random(3) * random(3),
    }));
    if (counts.length === 0) continue;
    await book.take(place, { series: randomUUID(), hour, counts, keys: [], clients: [] });
    for (const { api, application, subscription, admitted, rateLimited, quotaExhausted } of counts) {
      const { region, environment } = place;
      told.push({
        hour,
        region,
        environment,
        api,
        application,
        subscription,
        counts: [admitted, rateLimited, quotaExhausted],
      });
    }
  }
});
afterAll(() => app.stop());

const get = (query: Record<string, string>, headers: Record<string, string> = {}): Promise<CallAnswer> =>
  app.call('GET', `/v1/usage?${new URLSearchParams(query).toString()}`, undefined, headers);

async function allPages(query: Record<string, string>): Promise<UsageRow[]> {
  const rows: UsageRow[] = [];
  let cursor: string | null = null;
  do {
    const { body, status } = await get(cursor === null ? query : { ...query, cursor });
    if (status !== 200) throw new Error(JSON.stringify(body));
    rows.push(...body.items);
    cursor = body.next;
  } while (cursor !== null);
  return rows;
}

/** The same, summed up here. */
function expected(query: Record<string, string>, from: number, to: number): Map<string, number[]> {
  const groups = (query['groupBy'] ?? '').split(',').filter(Boolean);
  const sums = new Map<string, number[]>();
  for (const one of told) {
    if (one.hour < from || one.hour >= to) continue;
    const filters = ['environment', 'region', 'api', 'application', 'subscription'] as const;
    if (filters.some((name) => query[name] !== undefined && query[name] !== one[name])) continue;
    const time = new Date(one.hour * HOUR_MS).toISOString();
    const shown: Record<string, unknown> = { ...one, hour: time, day: time.slice(0, 10) };
    const name = JSON.stringify(groups.map((group) => shown[group]));
    sums.set(
      name,
      (sums.get(name) ?? [0, 0, 0]).map((sum, i) => sum + (one.counts[i] as number)),
    );
  }
  for (const [name, sum] of sums) if (sum.every((n) => n === 0)) sums.delete(name);
  return sums;
}

function summed(rows: readonly UsageRow[], query: Record<string, string>): Map<string, number[]> {
  const groups = (query['groupBy'] ?? '').split(',').filter(Boolean) as (keyof UsageRow)[];
  const entries = rows.map(({ admitted, rateLimited, quotaExhausted, ...row }): [string, number[]] => {
    const time = row.hour === undefined ? {} : { hour: new Date(row.hour).toISOString() };
    const shown: Record<string, unknown> = { ...row, ...time };
    return [JSON.stringify(groups.map((group) => shown[group])), [admitted, rateLimited, quotaExhausted]];
  });
  expect(new Set(entries.map(([name]) => name)).size).toBe(entries.length); // no group comes twice
  return new Map(entries);
}

describe('GET /v1/usage', () => {
  it('is the sum of what was told, by any groups and filters, however it is paged', async () => {
    const places = fc.subarray(['environment', 'region', 'api', 'application', 'subscription']);
    const filter = fc.constantFrom(
      {},
      { region: 'eu' },
      { environment: 'dev' },
      { api: 'weather:v1' },
      { application: APPLICATIONS[0] as string },
      { subscription: SUBJECTS[2]?.subscription as string },
    );
    const ask = fc.record({
      places,
      time: fc.constantFrom('', 'hour', 'day'),
      filter,
      from: fc.integer({ min: 0, max: 42 * 24 }),
      length: fc.integer({ min: 1, max: 42 * 24 }),
      limit: fc.integer({ min: 1, max: 60 }),
      most: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(ask, async ({ places, time, filter, from, length, limit, most }) => {
        const unit = time === 'hour' ? 1 : 24;
        const begin = TODAY + 24 - Math.max(1, Math.ceil(from / unit)) * unit;
        const end = begin + Math.max(1, Math.floor(length / unit)) * unit;
        const query: Record<string, string> = {
          ...(filter as Record<string, string>),
          from: new Date(begin * HOUR_MS).toISOString(),
          to: new Date(end * HOUR_MS).toISOString(),
          limit: String(limit),
          order: most && time === '' ? 'most' : 'group',
        };
        const groups = [...places, ...(time ? [time] : [])];
        if (groups.length > 0) query['groupBy'] = groups.join();
        const rows = await allPages(query);
        expect(summed(rows, query)).toEqual(expected(query, begin, end));
        if (query['order'] === 'most')
          expect(rows.map(({ admitted }) => admitted)).toEqual(
            rows.map(({ admitted }) => admitted).sort((a, b) => b - a),
          );
        const { limit: _, ...all } = query;
        const lines = await get({ ...all, format: 'ndjson' });
        const exported = String(lines.body)
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as UsageRow);
        expect(summed(exported, query)).toEqual(expected(query, begin, end));
      }),
      { numRuns: 60 },
    );
  });

  it('is the last 30 days, when nothing is said, as one sum', async () => {
    const { status, body } = await get({});
    expect([status, body.next]).toEqual([200, null]);
    expect(body.to).toBe(new Date((TODAY + 24) * HOUR_MS).toISOString());
    const [sum] = [...expected({}, TODAY - 29 * 24, TODAY + 24).values()];
    expect(body.items).toEqual([{ admitted: sum?.[0], rateLimited: sum?.[1], quotaExhausted: sum?.[2] }]);
  });

  it('names applications, and says null of those that were deleted, and of open APIs', async () => {
    const { body } = await get({ groupBy: 'application', from: '2020-01-01', to: '2022-01-01' });
    expect(body.items).toEqual([]);
    const rows = (await get({ groupBy: 'application', from: new Date((TODAY - 40 * 24) * HOUR_MS).toISOString() })).body
      .items;
    const names = new Map(rows.map(({ application, applicationName }: UsageRow) => [application, applicationName]));
    expect(names).toEqual(
      new Map([
        [APPLICATIONS[0], '=cmd("x"),1'],
        [APPLICATIONS[1], null],
        [null, null],
      ]),
    );
  });

  it('is CSV by Accept, in which no name is a formula or breaks a line', async () => {
    const { headers, body } = await get(
      { groupBy: 'application', application: APPLICATIONS[0] as string },
      { accept: 'text/csv' },
    );
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    const [head, line, rest] = String(body).split('\r\n');
    expect([head, rest]).toEqual(['application,applicationName,admitted,rateLimited,quotaExhausted', '']);
    expect(line).toMatch(/^[0-9a-f-]{36},"'=cmd\(""x""\),1",\d+,\d+,\d+$/);
  });

  it('is JSON for who takes anything', async () => {
    for (const accept of ['*/*', 'application/json, text/csv', 'text/csv;q=0.1, application/json'])
      expect((await get({}, { accept })).headers.get('content-type')).toContain('application/json');
  });

  it('refuses what it could not answer, by the name of the field', async () => {
    const refused = async (query: Record<string, string>): Promise<unknown> => {
      const { status, body } = await get(query);
      return [status, body.errors?.[0]?.field];
    };
    expect(await refused({ from: '2026-11-01T01:00:00Z' })).toEqual([400, 'from']);
    expect(await refused({ from: '2026-11-01T01:30:00Z', groupBy: 'hour' })).toEqual([400, 'from']);
    expect(await refused({ from: 'yesterday' })).toEqual([400, 'from']);
    expect(await refused({ from: '2026-11-02', to: '2026-11-02' })).toEqual([400, 'to']);
    expect(await refused({ from: '1999-11-02' })).toEqual([400, 'from']);
    expect(await refused({ groupBy: 'hour,day' })).toEqual([400, 'groupBy']);
    expect(await refused({ groupBy: 'plan' })).toEqual([400, 'groupBy']);
    expect(await refused({ groupBy: 'api,api' })).toEqual([400, 'groupBy']);
    expect(await refused({ groupBy: 'api,hour', order: 'most' })).toEqual([400, 'order']);
    expect(await refused({ application: 'x' })).toEqual([400, 'application']);
    expect(await refused({ cursor: 'x' })).toEqual([400, 'cursor']);
    expect(await refused({ cursor: Buffer.from('["0","x; DROP"]').toString('base64url') })).toEqual([400, 'cursor']);
    expect(await refused({ format: 'csv', cursor: 'x' })).toEqual([400, 'cursor']);
  });

  it('is forgotten when it is old: hours of subscriptions first', async () => {
    const count = async (table: string): Promise<number> =>
      Number((await app.source.query(`SELECT count(*) FROM ${table}`))[0].count);
    await app.source.query(`INSERT INTO usage_day (day, subject, series, admitted) SELECT day::date - 101, -1, 1, admitted FROM
      (SELECT (now() AT TIME ZONE 'UTC')::date AS day, ARRAY[1] AS admitted) d`);
    await app.source.query(`INSERT INTO usage_month (month, subject, series) VALUES ('2020-01-01', -1, 1)`);
    const before = [await count('usage_day'), await count('usage_month'), await count('usage_api_day')];
    await new UsageSweep(app.source, pino({ level: 'silent' })).sweep();
    const [days = 0, months = 0, apis] = before;
    expect([await count('usage_day'), await count('usage_month'), await count('usage_api_day')]).toEqual([
      days - 1,
      months - 1,
      apis,
    ]);
  });
});

describe('POST /v1/replicas/usage', () => {
  it('is for replicas with their own token, and counts for their own region only', async () => {
    expect((await app.call('POST', '/v1/replicas/usage', {})).status).toBe(401);
    await app.call('POST', '/v1/environments', { id: 'stage', position: 1 });
    await app.call('POST', '/v1/regions', { id: 'north', environment: 'stage' });
    const { body: join } = await app.call('POST', '/v1/join-tokens', { region: 'north' });
    const joining = { token: join.token, environment: 'stage', region: 'north', build: '1' };
    const { body: replica } = await app.call('POST', '/v1/replicas/join', joining);
    const count = { ...SUBJECTS[0], admitted: 3, rateLimited: 0, quotaExhausted: 0 };
    const report = { series: randomUUID(), hour: TODAY, counts: [count], keys: [], clients: [] };
    const post = (body: object): Promise<CallAnswer> =>
      app.call('POST', '/v1/replicas/usage', body, { authorization: `Bearer ${replica.token}` });
    expect(await post(report)).toMatchObject({ status: 200, body: { refused: null } });
    expect(await post({ ...report, hour: TODAY + 30 })).toMatchObject({
      status: 200,
      body: { refused: 'future_hour' },
    });
    for (const wrong of [{ admitted: -1 }, { admitted: 1.5 }, { subscription: null }, { api: 'x' }, { region: 'eu' }])
      expect((await post({ ...report, counts: [{ ...count, ...wrong }] })).status).toBe(400);
    const { body } = await get({ environment: 'stage', groupBy: 'region,api' });
    expect(body.items).toEqual([
      { region: 'north', api: 'weather:v1', admitted: 3, rateLimited: 0, quotaExhausted: 0 },
    ]);
  });
});
