import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, good, outcome } from '../testing/answers.js';
import { type CallAnswer, type StartedApp, startApp } from '../testing/start-app.js';

type Doc = Record<string, unknown>;
const ROLES = ['viewer', 'publisher', 'operator', 'admin'] as const;
type Role = (typeof ROLES)[number];
const definition = {
  routes: [],
  upstream: { targets: [{ url: 'http://127.0.0.1:1' }] },
  security: 'key',
  plans: ['gold'],
};

/** Of each kind who may write it, who may see it, and one that there is not yet. */
const KINDS: { kind: string; write: Role[]; read: Role[]; document: (name: string) => Doc }[] = [
  { kind: 'environment', write: ['operator'], read: [...ROLES], document: (id) => ({ id, position: 90 }) },
  { kind: 'region', write: ['operator'], read: [...ROLES], document: (id) => ({ id, environment: 'dev' }) },
  { kind: 'plan', write: ['operator'], read: [...ROLES], document: (id) => ({ id }) },
  {
    kind: 'api',
    write: ['publisher'],
    read: [...ROLES],
    document: (name) => ({
      name,
      version: 'v1',
      definition: { ...definition, routes: [{ method: 'GET', path: '/' }] },
    }),
  },
  { kind: 'application', write: ['publisher', 'operator'], read: [...ROLES], document: (id) => ({ id, name: id }) },
  {
    kind: 'subscription',
    write: ['publisher', 'operator'],
    read: [...ROLES],
    document: (name) => ({ application: `of-${name}`, api: 'weather:v1', plan: 'gold' }),
  },
  {
    kind: 'promotion-policy',
    write: [],
    read: [...ROLES],
    document: (name) => ({ environment: `of-${name}`, approvals: 1 }),
  },
  {
    kind: 'webhook',
    write: ['operator'],
    read: ['operator', 'admin'],
    document: (id) => ({ id, url: 'https://hooks.example.com/', types: ['*'] }),
  },
];

let app: StartedApp;
const call = new Map<Role, StartedApp['call']>();
beforeAll(async () => {
  app = await startApp();
  for (const role of ROLES) call.set(role, await as(app, role));
  const names = KINDS.flatMap(({ kind }) => ROLES.map((role) => `of-${kind}-${role}`));
  await good(
    app.call('POST', '/v1/apply', {
      set: 'ground',
      documents: [
        { kind: 'environment', id: 'dev', position: 10 },
        { kind: 'region', id: 'lab', environment: 'dev' },
        { kind: 'plan', id: 'gold' },
        { kind: 'api', ...KINDS[3]?.document('weather') },
        ...names.map((id) => ({ kind: 'application', id, name: id })),
        ...names.map((id) => ({ kind: 'environment', id, position: 20 })),
      ],
    }),
  );
});
afterAll(() => app?.stop());

function apply(role: Role, documents: Doc[], more: Doc = {}): Promise<CallAnswer> {
  const send = call.get(role);
  if (!send) throw new Error(`nobody is ${role}`);
  return send('POST', '/v1/apply', { set: 'mine', documents, ...more });
}

describe('who may', () => {
  for (const { kind, write, read, document } of KINDS)
    it(`ask about and apply documents of the kind ${kind}`, async () => {
      for (const role of ROLES) {
        const documents = [{ kind, ...document(`${kind}-${role}`) }];
        const mayWrite = role === 'admin' || write.includes(role);
        const asked = await apply(role, documents, { dryRun: true });
        if (!read.includes(role))
          expect(asked.body, role).toMatchObject({ status: 403, errors: [{ field: '/documents/0' }] });
        else {
          expect(asked.body, role).toMatchObject({ applied: false, summary: { create: 1 } });
          expect(
            asked.body.refused.map(({ field }: Doc) => field),
            role,
          ).toEqual(mayWrite ? [] : ['/documents/0']);
        }
        const expected = mayWrite ? '200' : role === 'viewer' ? '403 forbidden' : '403 forbidden /documents/0';
        expect(await outcome(apply(role, documents)), role).toBe(expected);
      }
    });

  it('ask for drift, to which nothing is written, also where it is of a placement past promotion', async () => {
    const state = async (): Promise<unknown> =>
      app.source.query(
        `SELECT (SELECT max(id) FROM audit) AS audit, (SELECT count(*) FROM release) AS releases, (SELECT max(revision) FROM revision) AS revision,
           (SELECT string_agg(rate::text, ',') FROM plan WHERE id = 'gold') AS plan, (SELECT count(*) FROM placement) AS placements`,
      );
    const before = await state();
    const documents = [
      { kind: 'plan', id: 'gold', rate: { limit: 5, per: 'second' } },
      {
        kind: 'api',
        name: 'weather',
        version: 'v1',
        definition: { ...definition, routes: [{ method: 'GET', path: '/b' }] },
      },
      {
        kind: 'api',
        name: 'tides',
        version: 'v1',
        definition: { ...definition, routes: [{ method: 'GET', path: '/' }] },
        serve: { 'of-plan-viewer': '*' },
      },
    ];
    for (const role of ['viewer', 'publisher'] as const) {
      const asked = await apply(role, documents, { dryRun: true, take: true, reason: 'helio diff' });
      expect(asked.body, role).toMatchObject({ applied: false, summary: { create: 1, update: 2 } });
      expect(
        asked.body.refused.map(({ field }: Doc) => field),
        role,
      ).toContain('/documents/2/serve/of-plan-viewer');
      expect(await outcome(apply(role, documents, { take: true, reason: 'x' })), role).toMatch(/^403 forbidden/);
    }
    expect(await state()).toEqual(before);
  });

  it('tell of faults before of rights: a reader learns what is wrong with documents', async () => {
    const faulty = [{ kind: 'subscription', application: 'nobody', api: 'weather:v1', plan: 'gold' }];
    expect(await outcome(apply('viewer', faulty, { dryRun: true }))).toBe(
      '422 documents_invalid /documents/0/application',
    );
  });

  it('apply nothing at all: not a viewer', async () => {
    expect(await outcome(apply('viewer', []))).toBe('403 forbidden');
    expect(await outcome(apply('publisher', []))).toBe('200');
  });
});
