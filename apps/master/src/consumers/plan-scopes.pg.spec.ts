import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '#harness';
import { encodeText, TABLE } from '#model';
import { good, settle } from '../testing/answers.js';
import { type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
const perMinute = (limit: number) => ({ rate: { limit, per: 'minute' }, quota: null });
const definition = {
  routes: [
    { method: 'GET', path: '/today' },
    { method: 'GET', path: '/open', security: 'open' },
  ],
  upstream: { targets: [{ url: 'http://127.0.0.1:9' }] },
  security: 'key',
  plans: [],
};

beforeAll(async () => {
  app = await startApp();
  await settle(app, { prod: ['eu-west'], dev: [] });
  await good(app.call('POST', '/v1/apis', { name: 'weather', version: 'v1' }));
});
afterAll(() => app?.stop());

/** What the chain says of a plan. */
async function published(plan: string): Promise<unknown> {
  const [row]: { value: Buffer }[] = await app.source.query(
    `SELECT value FROM published_entry WHERE environment_id = 'prod' AND table_id = $1 AND key = $2`,
    [TABLE.plan, encodeText(plan)],
  );
  return row && JSON.parse(row.value.toString('utf8'));
}

it('a plan may limit each route and an API as a whole, and loses such a limit by null', async () => {
  const limits = { rate: null, quota: null, perRoute: perMinute(5), perApi: { quota: { limit: 9, per: 'day' } } };
  const made = await good(app.call('POST', '/v1/plans', { id: 'scoped', ...limits }));
  expect(made).toMatchObject({ perRoute: perMinute(5), perApi: { rate: null, quota: { limit: 9, per: 'day' } } });
  await until(async () => (await published('scoped')) !== undefined, { what: 'the plan on the chain' });
  const onChain = { rate: null, quota: null, perRoute: made.perRoute, perApi: made.perApi };
  expect(await published('scoped')).toEqual(onChain);

  const change = { perRoute: null, quota: { limit: 7, per: 'month' } };
  const changed = await good(app.call('PATCH', '/v1/plans/scoped', change, { 'if-match': '"1"' }));
  expect(changed).toMatchObject({ perRoute: null, perApi: made.perApi, quota: { limit: 7, per: 'month' } });
  const after = { rate: null, quota: { limit: 7, per: 'month' }, perApi: made.perApi };
  await until(async () => JSON.stringify(await published('scoped')) !== JSON.stringify(onChain), {
    what: 'the change',
  });
  expect(await published('scoped')).toEqual(after);
});

it('a faulty limit of a route is named', async () => {
  const { body } = await app.call('POST', '/v1/plans', { id: 'x', perRoute: { rate: { limit: 0, per: 'day' } } });
  expect(body.errors.map((fault: { field: string }) => fault.field).sort()).toEqual([
    'perRoute.rate.limit',
    'perRoute.rate.per',
  ]);
});

it('the plan of open routes has to exist, and stays as long as the API', async () => {
  const release = { definition: { ...definition, openPlan: 'guests' } };
  const early = await app.call('POST', '/v1/apis/weather:v1/releases', release);
  expect([early.status, early.body.code, early.body.errors[0].field]).toEqual([
    422,
    'unknown_reference',
    'definition.openPlan',
  ]);
  await good(app.call('POST', '/v1/plans', { id: 'guests', ...perMinute(30) }));
  const { digest } = await good(app.call('POST', '/v1/apis/weather:v1/releases', release));
  const refused = await app.call('DELETE', '/v1/plans/guests');
  expect([refused.status, refused.body.code]).toEqual([409, 'in_use']);
  expect(refused.body.detail).toContain(digest);
  await good(app.call('DELETE', '/v1/apis/weather:v1'));
  expect((await app.call('DELETE', '/v1/plans/guests')).status).toBe(204);
});
