import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { as, auditOf, good, outcome, pages } from '../testing/answers.js';
import { type StartedApp, startApp } from '../testing/start-app.js';

let app: StartedApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app?.stop());

const create = (name: unknown, context?: string, version: unknown = 'v1') =>
  app.call('POST', '/v1/apis', { name, version, ...(context === undefined ? {} : { context }) });

describe('APIs', () => {
  it('are made under /<name>/<version> or a context of their own, read, listed and audited', async () => {
    const made = await create('weather');
    expect([made.status, made.headers.get('location'), made.headers.get('etag')]).toEqual([
      201,
      '/v1/apis/weather:v1',
      '"1"',
    ]);
    expect(made.body).toMatchObject({
      id: 'weather:v1',
      name: 'weather',
      version: 'v1',
      context: '/weather/v1',
      createdBy: 'bootstrap',
    });
    expect((await good(create('maps', '/geo/maps', '2.0'))).id).toBe('maps:2.0');
    await good(create('weather', undefined, 'v2'));
    expect(await good(app.call('GET', '/v1/apis/weather:v1'))).toEqual(made.body);
    expect(new Set((await pages(app, '/v1/apis', 1)).map((one) => one.id))).toEqual(
      new Set(['maps:2.0', 'weather:v1', 'weather:v2']),
    );
    expect((await pages(app, '/v1/apis?name=weather', 1)).map((one) => one.version)).toEqual(['v1', 'v2']);
    expect((await pages(app, '/v1/apis?context=/geo/maps', 1)).map((one) => one.id)).toEqual(['maps:2.0']);
    expect(await auditOf(app, 'api/weather:v1')).toMatchObject([
      { action: 'api.create', after: { context: '/weather/v1' } },
    ]);
  });

  it('are refused with each fault named', async () => {
    expect(await outcome(create('Weather'))).toBe('400 invalid_request name');
    expect(await outcome(create('a:b', 'no-slash', ''))).toBe('400 invalid_request name, version, context');
    expect(await outcome(create('x', '/a/../b'))).toBe('400 invalid_request context');
    expect(await outcome(create('x', '/a/'))).toBe('400 invalid_request context');
    expect(await outcome(app.call('POST', '/v1/apis', { name: 'x', version: 'v1', id: 'x:v1' }))).toBe(
      '400 invalid_request id',
    );
    expect(await outcome(app.call('POST', '/v1/apis', []))).toBe('400 invalid_request (whole)');
    expect(await outcome(create('weather', '/somewhere/else'))).toBe('409 conflict version');
    expect(await outcome(app.call('GET', '/v1/apis/storm:v1'))).toBe('404 not_found');
    expect(await outcome(app.call('GET', '/v1/apis/weather'))).toBe('400 invalid_request api');
    expect(await outcome(app.call('PATCH', '/v1/apis/weather:v1', { context: '/x' }))).toMatch(/^40[45] /);
  });

  it('have contexts that are neither equal nor inside of one another', async () => {
    await good(create('outer', '/a/b'));
    const detail = async (name: string, context: string) => {
      const answer = await create(name, context);
      return `${answer.status} ${answer.body.code} ${answer.body.detail}`;
    };
    expect(await detail('same', '/a/b')).toBe('409 context_taken the context "/a/b" is that of "outer:v1"');
    expect(await detail('inner', '/a/b/c/d')).toBe(
      '409 context_taken the context "/a/b/c/d" lies inside "/a/b", the context of "outer:v1"',
    );
    expect(await detail('around', '/a')).toBe(
      '409 context_taken the context "/a" holds "/a/b", the context of "outer:v1"',
    );
    // names that only begin alike are not inside of one another
    for (const [name, context] of [
      ['c1', '/a/bb'],
      ['c2', '/a/b-c'],
      ['c3', '/a/b.c'],
      ['c4', '/aa'],
      ['c5', '/A/b'],
    ] as const) {
      expect(await outcome(create(name, context))).toBe('201');
    }
  });

  it('get a context once, however many ask for it or for one inside it at the same time', async () => {
    const contexts = [
      '/race',
      '/race/x',
      '/race/x/y',
      '/race',
      '/race/x',
      '/race/z',
      '/race/x/y/z',
      '/race',
      '/race/z',
      '/race/x',
    ];
    const answers = await Promise.all(contexts.map((context, n) => outcome(create(`race-${n}`, context))));
    const won = contexts.filter((_, n) => answers[n] === '201');
    expect(won.length).toBeGreaterThan(0);
    for (const a of won) for (const b of won) if (a !== b) expect(`${a}/`.startsWith(`${b}/`)).toBe(false);
    expect(new Set(won).size).toBe(won.length);
    expect(answers.filter((answer) => answer === '409 context_taken context')).toHaveLength(
      contexts.length - won.length,
    );
  });

  it('are deleted with their releases, unless somebody is subscribed', async () => {
    const definition = {
      routes: [{ method: 'GET', path: '/' }],
      upstream: { targets: [{ url: 'http://127.0.0.1:9' }] },
      security: 'key',
      plans: ['gold'],
    };
    await good(app.call('POST', '/v1/plans', { id: 'gold' }));
    await good(app.call('POST', '/v1/apis/weather:v2/releases', { definition }));
    const { id: application } = await good(app.call('POST', '/v1/applications', { name: 'crm' }));
    const subscription = await good(
      app.call('POST', '/v1/subscriptions', { application, api: 'weather:v2', plan: 'gold' }),
    );
    const refused = await app.call('DELETE', '/v1/apis/weather:v2');
    expect([refused.status, refused.body.detail]).toEqual([
      409,
      'the API "weather:v2" has 1 subscriptions; delete them first',
    ]);
    await good(app.call('DELETE', `/v1/subscriptions/${subscription.id}`));
    expect(await outcome(app.call('DELETE', '/v1/apis/weather:v2', undefined, { 'if-match': '"0"' }))).toBe(
      '412 precondition_failed',
    );
    expect(await outcome(app.call('DELETE', '/v1/apis/weather:v2', undefined, { 'if-match': '"1"' }))).toBe('204');
    expect(await outcome(app.call('GET', '/v1/apis/weather:v2/releases'))).toBe('404 not_found');
    expect(await auditOf(app, 'api/weather:v2')).toMatchObject([
      {},
      { action: 'api.delete', before: { releases: 1, context: '/weather/v2' } },
    ]);
    await good(create('weather', undefined, 'v2'));
    expect(await pages(app, '/v1/apis/weather:v2/releases', 1)).toEqual([]);
  });

  it('are for publishers to make and for viewers to see', async () => {
    const [viewer, operator, publisher] = [
      await as(app, 'viewer'),
      await as(app, 'operator'),
      await as(app, 'publisher'),
    ];
    const body = { name: 'roles', version: 'v1' };
    expect(await outcome(viewer('POST', '/v1/apis', body))).toBe('403 forbidden');
    expect(await outcome(operator('POST', '/v1/apis', body))).toBe('403 forbidden');
    expect(await outcome(viewer('DELETE', '/v1/apis/weather:v1'))).toBe('403 forbidden');
    expect(await outcome(viewer('POST', '/v1/apis/weather:v1/releases', {}))).toBe('403 forbidden');
    expect(await outcome(publisher('POST', '/v1/apis', body))).toBe('201');
    expect(await outcome(viewer('GET', '/v1/apis/roles:v1'))).toBe('200');
  });
});
