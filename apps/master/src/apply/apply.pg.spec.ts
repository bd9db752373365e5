import { until } from '#harness';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, auditOf, good, outcome } from '../testing/answers.js';
import { applySchema } from './apply-schema.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app?.stop());

type Doc = Record<string, unknown>;
const definition = (port: number): Doc => ({
  routes: [
    { method: 'GET', path: '/today' },
    { method: 'GET', path: '/cities/{city}' },
  ],
  upstream: { targets: [{ url: `http://127.0.0.1:${port}` }] },
  security: 'key',
  plans: ['gold'],
});
const weather = (port = 1, more: Doc = {}): Doc => ({
  kind: 'api',
  name: 'weather',
  version: 'v1',
  definition: definition(port),
  serve: { dev: '*' },
  ...more,
});
const SHOP: Doc[] = [
  { kind: 'subscription', application: 'crm', api: 'weather:v1', plan: 'gold' },
  { kind: 'application', id: 'crm', name: 'CRM', owner: 'sales' },
  weather(),
  { kind: 'plan', id: 'gold', rate: { limit: 10, per: 'second' } },
  { kind: 'region', id: 'lab', environment: 'dev' },
  { kind: 'environment', id: 'dev', position: 10 },
  { kind: 'environment', id: 'prod', position: 30 },
  { kind: 'region', id: 'eu-west', environment: 'prod' },
  { kind: 'promotion-policy', environment: 'prod', approvals: 1 },
];
const apply = (documents: unknown[], more: Doc = {}): Promise<CallAnswer> =>
  app.call('POST', '/v1/apply', { set: 'shop', documents, ...more });
const done = ({ body }: CallAnswer): string[] =>
  (body.changes as { action: string; kind: string; id: string }[]).flatMap(({ action, kind, id }) =>
    action === 'unchanged' ? [] : [`${action} ${kind} ${id}`],
  );
const exported = async (query = ''): Promise<Doc[]> =>
  ((await good(app.call('GET', `/v1/export${query}`))) as string)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Doc);

describe('apply', () => {
  it('makes everything, whatever the order of the documents, and then finds nothing to do', async () => {
    const first = await apply(SHOP);
    expect(first.status, JSON.stringify(first.body)).toBe(200);
    expect(done(first)).toEqual([
      'create environment dev',
      'create environment prod',
      'create region eu-west',
      'create region lab',
      'create plan gold',
      'create api weather:v1',
      'create application crm',
      'create subscription crm/weather:v1',
      'create promotion-policy prod',
    ]);
    expect(first.headers.get('heliograph-revision')).toMatch(/^dev@\d+, prod@\d+$/);
    const second = await apply(SHOP);
    expect(second.body.summary).toEqual({ create: 0, update: 0, delete: 0, unchanged: 9 });
    expect(second.headers.get('heliograph-revision')).toBeNull();
    expect(await auditOf(app, 'apply/shop')).toHaveLength(1);
    expect(await auditOf(app, 'plan/gold')).toMatchObject([{ action: 'plan.create', actor: 'bootstrap' }]);
  });

  it('is one revision, of whatever it changes', async () => {
    const before = await good(app.call('GET', '/v1/environments/dev/head'));
    const changed = await apply([
      ...SHOP.filter(({ kind }) => kind !== 'plan' && kind !== 'api'),
      { kind: 'plan', id: 'gold', rate: { limit: 20, per: 'second' } },
      weather(2),
      { kind: 'api', name: 'tides', version: 'v1', definition: definition(3), serve: { dev: ['lab'] } },
    ]);
    expect(changed.body.changes.filter(({ action }: Doc) => action === 'update')).toMatchObject([
      { kind: 'plan', id: 'gold', fields: [{ path: '/rate/limit', before: 10, after: 20 }] },
      {
        kind: 'api',
        id: 'weather:v1',
        fields: [
          { path: '/release' },
          { path: '/serve/dev/*' },
          { path: '/definition/upstream/targets/0/url', before: 'http://127.0.0.1:1', after: 'http://127.0.0.1:2' },
        ],
      },
    ]);
    expect(changed.headers.get('heliograph-revision')).toContain(`dev@${before.revision + 1}`);
    expect((await good(app.call('GET', '/v1/environments/dev/head'))).revision).toBe(before.revision + 1);
  });

  it('goes back to an older release, which is the newest from then on', async () => {
    expect(done(await apply([weather(1)]))).toEqual(['update api weather:v1']);
    expect(done(await apply([weather(1)]))).toEqual([]);
    expect(done(await apply([weather(2)]))).toEqual(['update api weather:v1']);
    expect(done(await apply([weather(2)]))).toEqual([]);
  });

  it('changes nothing in a dry run, and refuses another plan than was looked at', async () => {
    const gold = [{ kind: 'plan', id: 'gold', rate: { limit: 30, per: 'second' } }];
    const dry = await apply(gold, { dryRun: true });
    expect([dry.status, dry.body.applied, done(dry)]).toEqual([200, false, ['update plan gold']]);
    expect((await good(app.call('GET', '/v1/plans/gold'))).rate.limit).toBe(20);
    const { etag } = Object.fromEntries((await app.call('GET', '/v1/plans/gold')).headers);
    await good(app.call('PATCH', '/v1/plans/gold', { quota: { limit: 5, per: 'day' } }, { 'if-match': etag ?? '' }));
    expect(await outcome(apply(gold, { expect: dry.body.plan }))).toBe('409 plan_changed');
    const next = await apply(gold, { dryRun: true });
    expect(await good(apply(gold, { expect: next.body.plan }))).toMatchObject({ applied: true, plan: next.body.plan });
    expect(await good(app.call('GET', '/v1/plans/gold'))).toMatchObject({ rate: { limit: 30 }, quota: null });
  });

  it('tells all that is wrong with the documents at once, by pointers, and writes nothing', async () => {
    const faulty = await apply([
      { kind: 'plan', id: 'Gold!', rate: { limit: 0, per: 'week' } },
      { kind: 'planet', id: 'mars' },
      weather(1, { definition: { ...definition(1), routes: [{ method: 'GET', path: 'today' }], colour: 'red' } }),
      { kind: 'application', id: 'crm' },
      'text',
      { kind: 'api', name: 'x', version: 'v1', openapi: { openapi: '3.0.0', info: { title: 'x', version: '1' } } },
      { kind: 'application', id: 'a', name: 'a' },
      { kind: 'application', id: 'a', name: 'b' },
    ]);
    expect([faulty.status, faulty.body.code]).toEqual([422, 'documents_invalid']);
    expect(faulty.body.errors.map(({ field }: Doc) => field)).toEqual([
      '/documents/0/rate/limit',
      '/documents/0/rate/per',
      '/documents/0/id',
      '/documents/1/kind',
      '/documents/2/definition/routes/0/path',
      '/documents/2/definition/colour',
      '/documents/3/name',
      '/documents/4/kind',
      '/documents/5/openapi',
      '/documents/5/openapi',
      '/documents/7',
    ]);
    expect(await outcome(app.call('GET', '/v1/applications?name=a'))).toBe('200');
    expect((await good(app.call('GET', '/v1/applications?name=a'))).items).toEqual([]);
  });

  it('tells every reference that leads nowhere, and what cannot be changed', async () => {
    const answer = await apply([
      { kind: 'region', id: 'nowhere', environment: 'moon' },
      { kind: 'api', name: 'a', version: 'v1', definition: { ...definition(1), plans: ['gold', 'tin'] } },
      { kind: 'subscription', application: 'crm', api: 'weather:v1', plan: 'iron' },
      { kind: 'subscription', application: 'nobody', api: 'weather:v1', plan: 'gold' },
      { kind: 'promotion-policy', environment: 'moon', approvals: 1 },
      weather(2, { serve: { dev: ['eu-west'] } }),
      { kind: 'api', name: 'b', version: 'v1', context: '/weather' },
    ]);
    expect([answer.status, answer.body.code]).toEqual([422, 'documents_invalid']);
    expect(answer.body.errors.map(({ field }: Doc) => field)).toEqual([
      '/documents/0/environment',
      '/documents/1/definition/plans/1',
      '/documents/2/plan',
      '/documents/3/application',
      '/documents/4/environment',
      '/documents/5/serve/dev',
      '/documents/6/context',
    ]);
    expect(
      await outcome(
        apply([
          { kind: 'environment', id: 'dev', position: 11 },
          { kind: 'region', id: 'lab', environment: 'prod' },
          weather(2, { context: '/elsewhere' }),
        ]),
      ),
    ).toBe('422 documents_invalid /documents/0/position, /documents/1/environment, /documents/2/context');
  });

  it('leaves environments after the first to promotions, but for operators who say why', async () => {
    const publisher = await as(app, 'publisher');
    const operator = await as(app, 'operator');
    const everywhere = { set: 'shop', documents: [weather(2, { serve: { dev: '*', prod: ['eu-west'] } })] };
    expect(await outcome(publisher('POST', '/v1/apply', everywhere))).toBe('403 forbidden /documents/0/serve/prod');
    const past = await outcome(operator('POST', '/v1/apply', everywhere));
    expect(past).toBe('422 documents_invalid /documents/0/serve/prod');
    expect(await outcome(apply(everywhere.documents))).toBe('422 documents_invalid /documents/0/serve/prod');
    const asked = await operator('POST', '/v1/apply', { ...everywhere, dryRun: true });
    expect((asked.body as Doc).refused).toMatchObject([
      { field: '/documents/0/serve/prod', code: 'documents_invalid', expected: expect.stringContaining('reason') },
    ]);
    const placed = await operator('POST', '/v1/apply', { ...everywhere, reason: 'the first one' });
    expect(done(placed)).toEqual(['update api weather:v1']);
    expect(await auditOf(app, 'placement/prod/weather:v1/eu-west')).toMatchObject([
      { action: 'placement.create', actor: 'operator', after: { reason: 'the first one' } },
    ]);
    expect(done(await apply(everywhere.documents))).toEqual([]);
  });

  it('is carried out once, however many send it at the same time', async () => {
    const tin = [{ kind: 'plan', id: 'tin' }, weather(5, { name: 'together' })];
    const answers = await Promise.all(Array.from({ length: 6 }, () => apply(tin)));
    expect(answers.map(done).filter((one) => one.length > 0)).toEqual([['create plan tin', 'create api together:v1']]);
  });

  it('is refused to who may not write it, before anything is done', async () => {
    const publisher = await as(app, 'publisher');
    const send = (documents: Doc[]) => outcome(publisher('POST', '/v1/apply', { set: 'shop', documents }));
    expect(
      await send([
        { kind: 'plan', id: 'silver' },
        { kind: 'application', id: 'b', name: 'B' },
      ]),
    ).toBe('403 forbidden /documents/0');
    expect(await send([{ kind: 'promotion-policy', environment: 'prod', approvals: 0 }])).toBe(
      '403 forbidden /documents/0',
    );
    expect(await send([{ kind: 'promotion-policy', environment: 'prod', approvals: 1 }])).toBe('200');
    const viewer = await as(app, 'viewer');
    expect(await outcome(viewer('POST', '/v1/apply', { set: 'shop', documents: [] }))).toBe('403 forbidden');
  });
});

describe('the schema of documents', () => {
  it('is there for every editor', async () => {
    const answer = await fetch(`${app.url}/v1/apply/schema.json`);
    expect(answer.headers.get('content-type')).toMatch(/^application\/schema\+json/);
    expect(await answer.text()).toBe(applySchema());
  });
});

describe('a set', () => {
  it('does not touch what belongs to another one, unless it is told to take it', async () => {
    const gold = { kind: 'plan', id: 'gold', rate: { limit: 30, per: 'second' } };
    expect(await outcome(apply([gold], { set: 'other' }))).toBe('409 owned_elsewhere /documents/0');
    expect(done(await apply([gold], { set: 'other', take: true }))).toEqual(['update plan gold']);
    expect(await outcome(apply([gold]))).toBe('409 owned_elsewhere /documents/0');
    expect(done(await apply([gold], { take: true }))).toEqual(['update plan gold']);
    expect(await auditOf(app, 'plan/gold')).toContainEqual({
      action: 'plan.adopt',
      actor: 'bootstrap',
      before: { set: 'shop' },
      after: { set: 'other' },
    });
  });

  it('adopts what nobody declared, once', async () => {
    await good(app.call('POST', '/v1/plans', { id: 'free' }));
    const free = await apply([{ kind: 'plan', id: 'free' }]);
    expect(free.body.changes).toMatchObject([
      { action: 'update', fields: [{ path: '/set', before: null, after: 'shop' }] },
    ]);
    expect(free.headers.get('heliograph-revision')).toBeNull();
    expect(done(await apply([{ kind: 'plan', id: 'free' }]))).toEqual([]);
  });

  it('deletes with prune what it owns and nothing else, in an order that references allow', async () => {
    await good(app.call('POST', '/v1/plans', { id: 'by-hand' }));
    const mine = [
      { kind: 'plan', id: 'brass' },
      {
        kind: 'api',
        name: 'short',
        version: 'v1',
        definition: { ...definition(9), plans: ['brass'] },
        serve: { dev: '*' },
      },
      { kind: 'application', id: 'lived', name: 'Lived' },
      { kind: 'subscription', application: 'lived', api: 'short:v1', plan: 'brass' },
      { kind: 'environment', id: 'trial', position: 10 },
      { kind: 'region', id: 'trial-1', environment: 'trial' },
      { kind: 'promotion-policy', environment: 'trial', approvals: 2 },
    ];
    await good(apply(mine, { set: 'brief' }));
    expect(done(await apply([], { set: 'brief' }))).toEqual([]);
    const others = await exported('?set=shop');
    expect(others.length).toBeGreaterThan(5);
    expect(await outcome(apply([], { set: 'brief', prune: true }))).toBe('422 prune_unconfirmed /documents');
    const { plan } = (await apply([], { set: 'brief', prune: true, dryRun: true })).body;
    const gone = await apply([], { set: 'brief', prune: true, expect: plan });
    expect(done(gone)).toEqual([
      'delete promotion-policy trial',
      'delete subscription lived/short:v1',
      'delete application lived',
      'delete api short:v1',
      'delete plan brass',
      'delete region trial-1',
      'delete environment trial',
    ]);
    expect(done(await apply([], { set: 'brief', prune: true, dryRun: true }))).toEqual([]);
    expect(await outcome(apply([], { set: 'brief', prune: true, expect: plan }))).toBe('409 plan_changed');
    await good(app.call('GET', '/v1/plans/by-hand'));
    expect(await exported('?set=shop')).toEqual(others);
    expect(await outcome(app.call('GET', '/v1/apis/short:v1'))).toBe('404 not_found');
    expect(await auditOf(app, 'api/short:v1')).toMatchObject([{ action: 'api.create' }, { action: 'api.delete' }]);
  });

  it('is told with prune what is still used by others, and loses nothing then', async () => {
    await good(
      apply(
        [
          { kind: 'plan', id: 'lead' },
          { kind: 'application', id: 'app', name: 'A' },
        ],
        { set: 'used' },
      ),
    );
    await good(
      apply(
        [
          { kind: 'api', name: 'user', version: 'v1', definition: { ...definition(9), plans: ['lead'] } },
          { kind: 'subscription', application: 'app', api: 'user:v1', plan: 'lead' },
        ],
        { set: 'user' },
      ),
    );
    for (const dryRun of [true, false])
      expect(
        await outcome(apply([{ kind: 'application', id: 'app', name: 'A' }], { set: 'used', prune: true, dryRun })),
      ).toBe('422 documents_invalid /prune');
    await good(app.call('GET', '/v1/plans/lead'));
  });
});

describe('export', () => {
  it('is refused beyond a share of the connections, until one has ended', async () => {
    const open = (): Promise<Response> => {
      const headers = { authorization: `Bearer ${narrow.admin}` };
      return fetch(`${narrow.url}/v1/export`, { headers });
    };
    const narrow = await startApp({ HELIO_DATABASE_POOL: '4' });
    try {
      const answers = await Promise.all(Array.from({ length: 20 }, open));
      const refused = answers.filter(({ status }) => status === 429);
      expect(answers.filter(({ status }) => status === 200).length + refused.length).toBe(20);
      expect(refused.length).toBeGreaterThan(0);
      expect(refused[0]?.headers.get('retry-after')).toBe('5');
      expect(await refused[0]?.json()).toMatchObject({ code: 'too_many_exports' });
      await until(async () => (await open()).status === 200, { what: 'an export to be answered again' });
    } finally {
      await narrow.stop();
    }
  });

  it('gives back what apply takes: it finds nothing to do, and makes the same elsewhere', async () => {
    const documents = await exported('?set=shop');
    expect(documents.map(({ kind }) => kind)).toContain('promotion-policy');
    expect(documents.find(({ id }) => id === 'crm')).toEqual({
      kind: 'application',
      id: 'crm',
      name: 'CRM',
      owner: 'sales',
    });
    expect(done(await apply(documents))).toEqual([]);
    const all = await exported();
    const other = await startApp();
    try {
      const send = { set: 'copy', documents: all };
      expect((await other.call('POST', '/v1/apply', send)).status).toBe(200);
      expect(await good(other.call('GET', '/v1/export'))).toBe(all.map((one) => `${JSON.stringify(one)}\n`).join(''));
    } finally {
      await other.stop();
    }
  });
});
