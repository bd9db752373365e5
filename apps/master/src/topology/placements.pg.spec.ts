import { until } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeRelease } from '../catalog/make-release.js';
import { as, auditOf, good, outcome, pages, settle } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
/** digests of releases by API: weather has three, climate one */
let weather: string[];
let climate: string;

const definition = (n: number) => ({
  routes: [{ method: 'GET', path: '/today' }],
  upstream: { targets: [{ url: `http://127.0.0.1:${n}` }] },
  security: 'open',
  plans: [],
});
const release = async (api: string, n: number): Promise<string> =>
  (await good(app.call('POST', `/v1/apis/${api}/releases`, { definition: definition(n) }))).digest;

beforeAll(async () => {
  app = await startApp();
  await settle(app, { prod: ['eu-west', 'us-east'], dev: ['lab'] });
  for (const name of ['weather', 'climate']) await good(app.call('POST', '/v1/apis', { name, version: 'v1' }));
  weather = [await release('weather:v1', 1), await release('weather:v1', 2), await release('weather:v1', 3)];
  climate = await release('climate:v1', 1);
});
afterAll(() => app?.stop());

const put = (place: string, digest: unknown, headers: Record<string, string> = {}) =>
  app.call('PUT', `/v1/placements/${place}`, { release: digest, reason: 'a test' }, headers);
const placeMany = (items: unknown, environment: unknown = 'prod') =>
  app.call('POST', '/v1/placements', { environment, items, reason: 'a test' });
const revisionOf = (answer: CallAnswer): number =>
  Number(/^prod@(\d+)$/.exec(answer.headers.get('heliograph-revision') ?? '')?.[1]);
const published = async (): Promise<Record<string, string>> => {
  const rows: { key: Buffer; value: Buffer }[] = await app.source.query(
    `SELECT key, value FROM published_entry WHERE environment_id = 'prod' AND table_id = 2`,
  );
  return Object.fromEntries(rows.map(({ key, value }) => [key.toString(), value.toString('hex')]));
};

describe('one placement', () => {
  it('is made without a precondition, and replaced with the ETag of what is replaced', async () => {
    const made = await put('prod/weather:v1/eu-west', weather[0]);
    expect([made.status, made.headers.get('etag'), made.headers.get('location')]).toEqual([
      201,
      '"1"',
      '/v1/placements/prod/weather:v1/eu-west',
    ]);
    expect(made.body).toMatchObject({
      environment: 'prod',
      api: 'weather:v1',
      region: 'eu-west',
      release: weather[0],
      updatedBy: 'bootstrap',
    });
    expect(revisionOf(made)).toBeGreaterThan(0);
    expect(await outcome(put('prod/weather:v1/eu-west', weather[1]))).toBe('428 precondition_required');
    expect(await outcome(put('prod/weather:v1/eu-west', weather[1], { 'if-match': '"9"' }))).toBe(
      '412 precondition_failed',
    );
    const replaced = await put('prod/weather:v1/eu-west', weather[1], { 'if-match': '"1"' });
    expect([replaced.status, replaced.headers.get('etag'), replaced.body.release]).toEqual([200, '"2"', weather[1]]);
    expect(revisionOf(replaced)).toBeGreaterThan(revisionOf(made));
    expect((await app.call('GET', '/v1/placements/prod/weather:v1/eu-west')).headers.get('etag')).toBe('"2"');
    expect(await auditOf(app, 'placement/prod/weather:v1/eu-west')).toMatchObject([
      { action: 'placement.create', before: null, after: { release: weather[0] } },
      { action: 'placement.update', before: { release: weather[0] }, after: { release: weather[1] } },
    ]);
  });

  it('is replaced by exactly one of ten who saw the same state', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        outcome(put('prod/weather:v1/eu-west', weather[n % 2 ? 0 : 2], { 'if-match': '"2"' })),
      ),
    );
    expect([...answers].sort()).toEqual(['200', ...Array.from({ length: 9 }, () => '412 precondition_failed')]);
  });

  it('is made by exactly one of ten who saw none', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => outcome(put('prod/weather:v1/us-east', weather[0]))),
    );
    expect([...answers].sort()).toEqual(['201', ...Array.from({ length: 9 }, () => '428 precondition_required')]);
    expect(await outcome(put('prod/climate:v1/us-east', climate, { 'if-match': '"1"' }))).toBe(
      '412 precondition_failed',
    );
    expect(await outcome(put('prod/climate:v1/us-east', climate, { 'if-match': '*' }))).toBe('412 precondition_failed');
  });

  it('that is placed again as it is changes nothing', async () => {
    const { headers, body } = await app.call('GET', '/v1/placements/prod/weather:v1/us-east');
    const again = await put('prod/weather:v1/us-east', weather[0], { 'if-match': headers.get('etag') ?? '' });
    expect([again.status, again.headers.get('etag'), again.body]).toEqual([200, headers.get('etag'), body]);
    expect(again.headers.get('heliograph-revision')).toBeNull();
  });

  it('names what exists', async () => {
    expect(await outcome(put('nowhere/weather:v1/eu-west', weather[0]))).toBe('404 not_found');
    expect(await outcome(put('prod/storm:v1/eu-west', weather[0]))).toBe('404 not_found');
    expect(await outcome(put('prod/weather:v1/mars', weather[0]))).toBe('404 not_found');
    const elsewhere = await put('prod/weather:v1/lab', weather[0]);
    expect([elsewhere.status, elsewhere.body.detail]).toEqual([
      404,
      'the region "lab" belongs to the environment "dev"',
    ]);
    expect(await outcome(put('prod/weather:v1/*', 'f'.repeat(64)))).toBe('422 unknown_reference release');
    const foreign = await put('prod/weather:v1/*', climate);
    expect([foreign.status, foreign.body.detail]).toEqual([422, `release: ${climate} is a release of "climate:v1"`]);
    expect(await outcome(put('prod/weather:v1/*', 'F'.repeat(64)))).toBe('400 invalid_request release');
    expect(await outcome(put('prod/weather/*', weather[0]))).toBe('400 invalid_request api');
    expect(await outcome(put('prod/weather:v1/**', weather[0]))).toBe('400 invalid_request region');
    expect(
      await outcome(
        app.call('PUT', '/v1/placements/prod/weather:v1/*', { release: weather[0], reason: 'a test', note: 1 }),
      ),
    ).toBe('400 invalid_request note');
    expect(await outcome(app.call('GET', '/v1/placements/prod/climate:v1/eu-west'))).toBe('404 not_found');
  });

  it('is deleted, also unseen', async () => {
    await good(put('prod/climate:v1/%2A', climate));
    expect((await good(app.call('GET', '/v1/placements/prod/climate:v1/*'))).region).toBe('*');
    expect(
      await outcome(
        app.call('DELETE', '/v1/placements/prod/climate:v1/*?reason=a+test', undefined, { 'if-match': '"2"' }),
      ),
    ).toBe('412 precondition_failed');
    const deleted = await app.call('DELETE', '/v1/placements/prod/climate:v1/*?reason=a+test');
    expect([deleted.status, revisionOf(deleted) > 0]).toEqual([204, true]);
    expect(await outcome(app.call('DELETE', '/v1/placements/prod/climate:v1/*?reason=a+test'))).toBe('404 not_found');
    expect(await auditOf(app, 'placement/prod/climate:v1/*')).toMatchObject([
      {},
      { action: 'placement.delete', before: { release: climate }, after: { release: null, reason: 'a test' } },
    ]);
    expect(Object.keys(await published()).sort()).toEqual(['weather:v1@eu-west', 'weather:v1@us-east']);
  });

  it('keeps its region and its API where they are', async () => {
    const region = await app.call('DELETE', '/v1/regions/us-east');
    expect([region.status, region.body.detail]).toEqual([
      409,
      'the region "us-east" has a placement of "weather:v1"; delete that first',
    ]);
    const api = await app.call('DELETE', '/v1/apis/weather:v1');
    expect([api.status, api.body.code, api.body.detail]).toEqual([
      409,
      'in_use',
      'the API "weather:v1" is placed in prod/eu-west; delete its placements first',
    ]);
  });

  it('is for publishers and operators', async () => {
    expect(
      await outcome(
        (await as(app, 'viewer'))('PUT', '/v1/placements/prod/weather:v1/*', { release: weather[0], reason: 'a test' }),
      ),
    ).toBe('403 forbidden');
    expect(
      await outcome(
        (await as(app, 'operator'))('PUT', '/v1/placements/prod/weather:v1/*', {
          release: weather[0],
          reason: 'a test',
        }),
      ),
    ).toBe('201');
    expect(await outcome((await as(app, 'publisher'))('DELETE', '/v1/placements/prod/weather:v1/*?reason=x'))).toBe(
      '403 forbidden',
    );
    expect(await outcome((await as(app, 'operator'))('DELETE', '/v1/placements/prod/weather:v1/*?reason=x'))).toBe(
      '204',
    );
    expect(await outcome((await as(app, 'operator'))('DELETE', '/v1/placements/prod/weather:v1/*'))).toBe(
      '400 invalid_request reason',
    );
  });
});

describe('several placements', () => {
  it('change in one revision', async () => {
    const answer = await placeMany([
      { api: 'weather:v1', region: '*', release: weather[2] },
      { api: 'weather:v1', region: 'us-east', release: null },
      { api: 'climate:v1', region: 'eu-west', release: climate },
      { api: 'climate:v1', region: 'us-east', release: null },
    ]);
    expect(answer.body).toEqual({ environment: 'prod', created: 2, replaced: 0, removed: 1, unchanged: 1 });
    const [row]: { ops: number }[] = await app.source.query(
      `SELECT ops FROM revision WHERE environment_id = 'prod' AND revision = $1`,
      [revisionOf(answer)],
    );
    expect(row?.ops).toBeGreaterThanOrEqual(4); // three placements, and releases that came or went
    expect(await published()).toMatchObject({ 'weather:v1@*': weather[2], 'climate:v1@eu-west': climate });
  });

  it('are all refused for one that is faulty, and each faulty one is named', async () => {
    const before = await pages(app, '/v1/placements', 50);
    const faulty = await placeMany([
      { api: 'weather:v1', region: 'eu-west', release: null },
      { api: 'storm:v1', region: 'eu-west', release: null },
      { api: 'climate:v1', region: 'lab', release: weather[0] },
      { api: 'climate:v1', region: '*', release: 'e'.repeat(64) },
    ]);
    expect([faulty.status, faulty.body.code]).toEqual([422, 'unknown_reference']);
    expect(faulty.body.errors.map((fault: { field: string }) => fault.field)).toEqual([
      'items[1].api',
      'items[2].region',
      'items[2].release',
      'items[3].release',
    ]);
    expect(faulty.body.errors[2]).toEqual({
      field: 'items[2].release',
      problem: `${weather[0]} is a release of "weather:v1"`,
      expected: 'the digest of a release of "climate:v1"',
    });
    expect(await pages(app, '/v1/placements', 50)).toEqual(before);
  });

  it('are refused with each fault named', async () => {
    const item = { api: 'weather:v1', region: '*', release: null };
    expect(await outcome(placeMany([item], 'nowhere'))).toBe('422 unknown_reference environment');
    expect(await outcome(placeMany([]))).toBe('400 invalid_request items');
    expect(await outcome(placeMany([item, { ...item, api: 'climate:v1' }, item]))).toBe('400 invalid_request items[2]');
    expect(
      await outcome(
        placeMany([
          { ...item, release: undefined },
          { ...item, wave: 1 },
        ]),
      ),
    ).toBe('400 invalid_request items[0].release, items[1].wave');
    expect(await outcome(placeMany(Array.from({ length: 5001 }, () => item)))).toMatch(/^400 invalid_request items\b/);
    expect(await outcome(placeMany(item))).toBe('400 invalid_request items');
  });

  it('answer a repeated Idempotency-Key with the same', async () => {
    const send = (digest: string | undefined) =>
      app.call(
        'POST',
        '/v1/placements',
        { environment: 'prod', reason: 'a test', items: [{ api: 'weather:v1', region: 'us-east', release: digest }] },
        { 'idempotency-key': 'p1' },
      );
    const [first, second] = [await send(weather[0]), await send(weather[0])];
    expect([first.status, first.body.created, second.headers.get('idempotent-replayed')]).toEqual([200, 1, 'true']);
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('heliograph-revision')).toBe(first.headers.get('heliograph-revision'));
    expect(await outcome(send(weather[1]))).toBe('422 idempotency_mismatch Idempotency-Key');
  });

  it('are listed, filtered and paged', async () => {
    const all = await pages(app, '/v1/placements', 1);
    expect(all.map((one) => `${one.environment}/${one.api}/${one.region}`).sort()).toEqual([
      'prod/climate:v1/eu-west',
      'prod/weather:v1/*',
      'prod/weather:v1/eu-west',
      'prod/weather:v1/us-east',
    ]);
    expect(await pages(app, '/v1/placements', 200)).toEqual(all);
    expect((await pages(app, '/v1/placements?api=weather:v1&region=*', 1)).map((one) => one.release)).toEqual([
      weather[2],
    ]);
    expect(await pages(app, '/v1/placements?environment=dev', 1)).toEqual([]);
    expect(await outcome(app.call('GET', '/v1/placements?api=weather&release=x'))).toBe(
      '400 invalid_request api, release',
    );
  });

  it('of concurrent writers end as one of them left them, on the chain too', async () => {
    const writers = Array.from({ length: 20 }, (_, n) =>
      good(
        placeMany(
          ['eu-west', 'us-east', '*'].map((region) => ({ api: 'weather:v1', region, release: weather[n % 3] ?? null })),
        ),
      ),
    );
    await Promise.all(writers);
    const placed = await pages(app, '/v1/placements?api=weather:v1', 50);
    expect(new Set(placed.map((one) => one.release)).size).toBe(1);
    const entries = await published();
    for (const one of placed) expect(entries[`weather:v1@${one.region}`]).toBe(one.release);
    const releases: { key: Buffer }[] = await app.source.query(
      `SELECT key FROM published_entry WHERE environment_id = 'prod' AND table_id = 1`,
    );
    expect(new Set(releases.map(({ key }) => key.toString('hex')))).toEqual(new Set([placed[0].release, climate]));
  });

  it('of 2,000 APIs of 20 routes arrive with one request', async () => {
    const made = Array.from({ length: 2000 }, (_, n) => {
      const api = { id: `bulk-${n}:v1`, name: `bulk-${n}`, version: 'v1', context: `/bulk-${n}/v1` };
      const routes = Array.from({ length: 20 }, (_, r) => ({ method: 'GET', path: `/things/${r}/{id}` }));
      return {
        api,
        ...makeRelease({ kind: 'definition', definition: { ...definition(1), routes }, at: 'definition.' }, api),
      };
    });
    await app.source.query(
      `WITH made AS (
         INSERT INTO api (id, name, version, context, created_by) SELECT id, id, 'v1', '/' || id, 'test' FROM unnest($1::text[]) AS a (id)
       )
       INSERT INTO release (digest, api_id, definition, plans, routes, created_by)
       SELECT digest, id, definition, '{}', 20, 'test' FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS r (id, digest, definition)`,
      [made.map((one) => one.api.id), made.map((one) => one.digest), made.map((one) => one.bytes)],
    );
    const items = made.map((one) => ({ api: one.api.id, region: '*', release: one.digest.toString('hex') }));
    expect((await good(placeMany(items))).created).toBe(2000);
    await until(async () => Object.keys(await published()).length >= 2000, { what: 'the placements on the chain' });
    expect((await good(placeMany(items))).unchanged).toBe(2000);
    expect((await good(placeMany(items.map((one) => ({ ...one, release: null }))))).removed).toBe(2000);
    expect(await pages(app, '/v1/placements?api=bulk-1:v1', 1)).toEqual([]);
  });
});
