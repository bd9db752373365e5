import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR_MS, type UsageCount, type UsageReport } from '#model';
import { type FreshDatabase, freshDatabase } from '#harness';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../database/data-source.js';
import type { Reporter } from './merge-report.js';
import { UsageBook } from './usage-book.js';

let database: FreshDatabase;
let sources: DataSource[];
/** of two masters */
let books: UsageBook[];

beforeAll(async () => {
  database = await freshDatabase();
  sources = [];
  for (let i = 0; i < 2; i++) sources.push(await new DataSource(dataSourceOptions(database.url, 4)).initialize());
  books = sources.map((source) => new UsageBook(source));
});
afterAll(async () => {
  for (const source of sources) await source.destroy();
  await database.drop();
});

const replica = (region = `r${randomUUID().slice(0, 8)}`): Reporter => ({
  id: `${region}-1`,
  region,
  environment: 'prod',
});
const count = (change: Partial<UsageCount> = {}): UsageCount => ({
  subscription: randomUUID(),
  application: randomUUID(),
  api: 'weather:v1',
  admitted: 1,
  rateLimited: 0,
  quotaExhausted: 0,
  ...change,
});
const thisHour = (): number => Math.floor(Date.now() / HOUR_MS);
const report = (counts: UsageCount[], change: Partial<UsageReport> = {}): UsageReport => ({
  series: randomUUID(),
  hour: thisHour() - 1,
  counts,
  keys: [],
  clients: [],
  ...change,
});
const query = <T>(sql: string, parameters: unknown[]): Promise<T[]> =>
  (sources[0] as DataSource).query(sql, parameters);

const SUMS = ['admitted', 'rate_limited', 'quota_exhausted'].map(
  (column) => `coalesce(sum((SELECT sum(n) FROM unnest(${column}) n)), 0)::float8`,
);
/** What the three tables say of a region, each by itself: admitted, refused by the rate, by the quota. */
async function sums(region: string): Promise<number[][]> {
  const of = (from: string): Promise<{ sums: number[] }[]> =>
    query(`SELECT ARRAY[${SUMS.join()}] AS sums FROM ${from}`, [region]);
  const series = 'JOIN usage_series s ON s.id = u.series WHERE s.region = $1';
  const rows = await Promise.all([
    of(`usage_day u ${series}`),
    of(`usage_month u ${series}`),
    of('usage_api_day WHERE region = $1'),
  ]);
  return rows.map(([row]) => row?.sums ?? []);
}
const thrice = (...expected: number[]): number[][] => [expected, expected, expected];

describe('reports of usage', () => {
  it('T5 repeated, lost, late, reordered, of several series and to two masters at once, they sum up to the greatest of each', async () => {
    const subjects = Array.from({ length: 4 }, (_, n) => count({ api: n % 2 ? 'a:v1' : 'b:v1' }));
    const step = fc.record({
      series: fc.nat(1),
      hour: fc.nat(2),
      told: fc.uniqueArray(fc.record({ subject: fc.nat(3), by: fc.tuple(fc.nat(5), fc.nat(3), fc.nat(2)) }), {
        selector: ({ subject }) => subject,
        maxLength: 4,
      }),
      fate: fc.constantFrom('once', 'twice', 'lost', 'late'),
      master: fc.nat(1),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const from = replica();
        const series = [randomUUID(), randomUUID()];
        const grown = new Map<string, number[]>();
        const greatest = new Map<string, number[]>();
        const sent: { master: number; report: UsageReport }[] = [];
        const late: typeof sent = [];
        for (const { series: s, hour, told, fate, master } of steps) {
          const counts = told.map(({ subject, by }) => {
            const name = `${s} ${hour} ${subject}`;
            const now = (grown.get(name) ?? [0, 0, 0]).map((n, i) => n + (by[i] ?? 0));
            grown.set(name, now);
            if (fate !== 'lost') greatest.set(name, now);
            const [admitted = 0, rateLimited = 0, quotaExhausted = 0] = now;
            return { ...(subjects[subject] as UsageCount), admitted, rateLimited, quotaExhausted };
          });
          // hours on both sides of a midnight
          const made = {
            master,
            report: report(counts, { series: series[s], hour: Math.floor(thisHour() / 24) * 24 - hour }),
          };
          if (fate === 'late') late.push(made);
          else if (fate !== 'lost') sent.push(made, ...(fate === 'twice' ? [{ ...made, master: 1 - master }] : []));
        }
        const all = [...sent, ...late.reverse()];
        await Promise.all(all.map(({ master, report: one }) => (books[master] as UsageBook).take(from, one)));
        const expected = [0, 1, 2].map((i) => [...greatest.values()].reduce((sum, one) => sum + (one[i] ?? 0), 0));
        expect(await sums(from.region)).toEqual(thrice(...expected));
      }),
      { numRuns: 40 },
    );
  });

  it('T5 a series that begins again at 0 adds to what the one before had', async () => {
    const from = replica();
    const one = count({ admitted: 7 });
    await books[0]?.take(from, report([one]));
    await books[0]?.take(from, report([{ ...one, admitted: 5 }]));
    expect(await sums(from.region)).toEqual(thrice(12, 0, 0));
  });

  it('an entry that a report has twice counts once', async () => {
    const from = replica();
    const one = count({ admitted: 7 });
    await books[0]?.take(from, report([one, { ...one, admitted: 4 }]));
    expect(await sums(from.region)).toEqual(thrice(7, 0, 0));
  });

  it('hours that are still to come, or were too long ago, are refused, and change nothing', async () => {
    const from = replica();
    expect(await books[0]?.take(from, report([count()], { hour: thisHour() + 3 }))).toEqual({ refused: 'future_hour' });
    expect(await books[0]?.take(from, report([count()], { hour: thisHour() - 46 * 24 }))).toEqual({
      refused: 'too_old',
    });
    expect(await sums(from.region)).toEqual(thrice(0, 0, 0));
  });

  it('a subscription counts for its own application and API, whatever a replica says; one that nobody knows, for those it says', async () => {
    const from = replica();
    const [application, known, gone] = [randomUUID(), count(), count({ api: 'gone:v1' })];
    await query(`INSERT INTO application (id, name) VALUES ($1, 'crm')`, [application]);
    await query(
      `INSERT INTO api (id, name, version, context, created_by) VALUES ('own:v1', 'own', 'v1', '/own', 't')`,
      [],
    );
    await query(`INSERT INTO plan (id) VALUES ('usage-plan')`, []);
    await query(
      `INSERT INTO subscription (id, application_id, api_id, plan_id) VALUES ($1, $2, 'own:v1', 'usage-plan')`,
      [known.subscription, application],
    );
    await books[0]?.take(from, report([known, gone]));
    const rows = await query(
      `SELECT subscription, application, api FROM usage_subject WHERE subscription IN ($1, $2) ORDER BY api`,
      [known.subscription, gone.subscription],
    );
    expect(rows).toEqual([
      { subscription: gone.subscription, application: gone.application, api: 'gone:v1' },
      { subscription: known.subscription, application, api: 'own:v1' },
    ]);
    // deleting it leaves what was used, and what comes late is added to that
    await query('DELETE FROM subscription WHERE id = $1', [known.subscription]);
    await query('DELETE FROM application WHERE id = $1', [application]);
    await books[0]?.take(
      from,
      report([{ ...known, application, api: 'own:v1', admitted: 4 }], { series: randomUUID() }),
    );
    expect(await sums(from.region)).toEqual(thrice(6, 0, 0));
  });

  it('a key, or a client, is last used in the newest hour that was told, whichever report came last', async () => {
    const from = replica();
    const [application, key, hash] = [randomUUID(), randomUUID(), Buffer.alloc(32, 7)];
    await query(`INSERT INTO environment (id, position) VALUES ('prod', 1) ON CONFLICT DO NOTHING`, []);
    await query(`INSERT INTO application (id, name) VALUES ($1, 'crm')`, [application]);
    await query(
      `INSERT INTO api_key (id, application_id, environment_id, hash, created_by) VALUES ($1, $2, 'prod', $3, 't')`,
      [key, application, hash],
    );
    await query(
      `INSERT INTO oauth_client (id, application_id, environment_id, chain_id, scopes, token_seconds, created_by)
       VALUES ('hgc_1', $1, 'prod', $2, '{}', 60, 't')`,
      [application, Buffer.alloc(16, 9)],
    );
    await books[0]?.take(from, report([], { hour: thisHour(), clients: ['09'.repeat(16)] }));
    const [client] = await query<{ at: Date }>(`SELECT last_used_at AS at FROM oauth_client WHERE id = 'hgc_1'`, []);
    expect(client?.at.getTime()).toBe(thisHour() * HOUR_MS);
    const used = async (hour: number, reporter = from): Promise<number> => {
      await books[0]?.take(
        reporter,
        report([], { hour, keys: [hash.subarray(0, 16).toString('hex'), 'ab'.repeat(16)] }),
      );
      const [row] = await query<{ at: Date | null }>('SELECT last_used_at AS at FROM api_key WHERE id = $1', [key]);
      return (row?.at?.getTime() ?? 0) / HOUR_MS;
    };
    const hour = thisHour();
    expect(await used(hour - 1, { ...from, environment: 'dev' })).toBe(0); // of another environment
    expect(await used(hour - 3)).toBe(hour - 3);
    expect(await used(hour - 1)).toBe(hour - 1);
    expect(await used(hour - 2)).toBe(hour - 1);
  });
});
