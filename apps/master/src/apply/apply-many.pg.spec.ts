import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { good } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app?.stop());

type Doc = Record<string, unknown>;
const PLANS = ['gold', 'silver'];
const definition = {
  routes: [{ method: 'GET', path: '/' }],
  upstream: { targets: [{ url: 'http://127.0.0.1:1' }] },
  security: 'key',
  plans: PLANS,
};
const GROUND: Doc[] = [
  { kind: 'environment', id: 'dev', position: 10 },
  ...PLANS.map((id) => ({ kind: 'plan', id })),
  ...['one', 'two', 'three'].map((name) => ({ kind: 'api', name, version: 'v1', definition, serve: { dev: '*' } })),
];
const apply = (documents: Doc[], more: Doc = {}): Promise<CallAnswer> =>
  app.call('POST', '/v1/apply', { set: 'many', documents, ...more });
/** Applications `name-0` ... with a subscription to each API. */
const consumers = (name: string, n: number, plan: string): Doc[] =>
  Array.from({ length: n }, (_, at) => [
    { kind: 'application', id: `${name}-${at}`, name },
    ...['one', 'two', 'three'].map((api) => ({
      kind: 'subscription',
      application: `${name}-${at}`,
      api: `${api}:v1`,
      plan,
    })),
  ]).flat();

/** Statements that PostgreSQL is sent meanwhile, whoever sends them. */
async function statements(work: () => Promise<unknown>): Promise<number> {
  const spy = vi.spyOn(pg.Client.prototype, 'query');
  try {
    await work();
    return spy.mock.calls.length;
  } finally {
    spy.mockRestore();
  }
}

describe('an apply of many', () => {
  it('sends no statement for each application and subscription that it makes or moves', async () => {
    await good(apply(GROUND));
    for (const [what, set, of] of [
      ['makes', {}, (n: number) => consumers(`c${n}`, n, 'gold')],
      ['finds', {}, (n: number) => consumers(`c${n}`, n, 'gold')],
      ['moves', {}, (n: number) => consumers(`c${n}`, n, 'silver')],
    ] as const) {
      const few = await statements(async () => good(apply(of(5), set)));
      const many = await statements(async () => good(apply(of(100), set)));
      // 380 things more; what the publisher and others send meanwhile is not much
      expect(many - few, what).toBeLessThan(150);
    }
    const subscriptions: { plan: string; n: string }[] = await app.source.query(
      `SELECT plan_id AS plan, count(*) AS n FROM subscription WHERE apply_set = 'many' GROUP BY 1`,
    );
    expect(subscriptions).toEqual([{ plan: 'silver', n: '315' }]);
    const gone = await apply([...GROUND, ...consumers('c100', 50, 'silver')], { prune: true });
    expect(gone.body.summary).toMatchObject({ delete: 220, update: 0, create: 0 });
  });

  it('sends none for each plan that it makes', async () => {
    const plans = (n: number): Doc[] =>
      Array.from({ length: n }, (_, at) => ({
        kind: 'plan',
        id: `p${n}-${at}`,
        rate: { limit: at + 1, per: 'second' },
      }));
    const few = await statements(async () => good(apply(plans(5))));
    const many = await statements(async () => good(apply(plans(300))));
    expect(many - few).toBeLessThan(150);
    const plan = await good(app.call('GET', '/v1/plans/p300-299'));
    expect(plan).toMatchObject({ rate: { limit: 300, per: 'second' }, quota: null, perRoute: null, perApi: null });
    expect((await apply(plans(300))).body.summary).toMatchObject({ unchanged: 300 });
  });

  it('writes an audit line for each, and one revision for all of them', async () => {
    const documents = consumers('audited', 20, 'gold');
    await good(apply(documents));
    const keyed: { id: string }[] = await app.source.query(
      `SELECT id FROM application WHERE apply_id LIKE 'audited-%'`,
    );
    for (const { id } of keyed.slice(0, 5))
      await good(app.call('POST', `/v1/applications/${id}/keys`, { environment: 'dev' }));
    const head = async (): Promise<number> => (await good(app.call('GET', '/v1/environments/dev/head'))).revision;
    const before = await head();
    const moved = await apply(consumers('audited', 20, 'silver'));
    expect(moved.headers.get('heliograph-revision')).toBe(`dev@${before + 1}`);
    expect(await head()).toBe(before + 1);
    const lines: { action: string; n: string; moved: string }[] = await app.source.query(
      `SELECT action, count(*) AS n, count(*) FILTER (WHERE before->>'plan' = 'gold' AND after->>'plan' = 'silver') AS moved FROM audit
       WHERE target IN (SELECT 'subscription/' || id FROM subscription WHERE application_id = ANY ($1::uuid[])) GROUP BY 1 ORDER BY 1`,
      [keyed.map(({ id }) => id)],
    );
    expect(lines).toEqual([
      { action: 'subscription.create', n: '60', moved: '0' },
      { action: 'subscription.update', n: '60', moved: '60' },
    ]);
    expect((await apply(consumers('audited', 20, 'silver'))).body.summary).toMatchObject({ unchanged: 80, update: 0 });
  });

  it('names each that cannot be written, and writes none', async () => {
    await good(apply(GROUND));
    await good(apply(consumers('some', 3, 'gold')));
    const documents = [
      ...consumers('fresh', 2, 'gold'),
      { kind: 'subscription', application: 'nobody', api: 'one:v1', plan: 'gold' },
      { kind: 'subscription', application: 'some-0', api: 'none:v1', plan: 'gold' },
      { kind: 'subscription', application: 'some-0', api: 'one:v1', plan: 'tin' },
      { kind: 'subscription', application: 'fresh-1', api: 'four:v1', plan: 'silver' },
      { kind: 'api', name: 'four', version: 'v1', definition: { ...definition, plans: ['gold'] } },
    ];
    const answer = await apply(documents);
    expect(answer.body.errors).toMatchObject([
      { field: '/documents/8/application' },
      { field: '/documents/9/api', problem: 'there is no API "none:v1"' },
      { field: '/documents/10/plan', problem: 'there is no plan "tin"' },
      { field: '/documents/11/plan', expected: 'its releases offer gold' },
    ]);
    expect(await app.source.query(`SELECT 1 FROM application WHERE apply_id LIKE 'fresh-%'`)).toEqual([]);
  });
});
