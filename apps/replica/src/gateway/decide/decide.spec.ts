import { beforeEach, describe, expect, it } from 'vitest';
import type { Definition } from '#model';
import { Decider, fieldsOf, forwarded, NOW, refusal, withKey } from '../../testing/decider.js';
import { APPLICATION, definitionOf, placed, SUBSCRIPTION } from '../../testing/gateway-ops.js';
import { CompiledState } from './compile/compiled-state.js';
import { UNLIMITED } from './take-tokens.js';
import type { Decision } from './decision.js';

let decider: Decider;

beforeEach(() => {
  decider = new Decider();
});

describe('where a request goes', () => {
  it('finds API and route, and sends on what stands below the context, with its query', () => {
    decider.load({ routes: [{ method: 'GET', path: '/cities/{id}/*' }] });
    const decision = forwarded(decider.run('GET', '/weather/v1/cities/p%20q/a/b/?x=%2F&y', withKey()));
    expect(decision.path).toBe('/cities/p%20q/a/b/?x=%2F&y');
    expect(decision.route.name).toBe('GET /cities/{id}/*');
    expect(decision.consumer).toEqual({
      application: APPLICATION,
      subscription: SUBSCRIPTION,
      plan: 'gold',
      key: expect.stringMatching(/^[\s\S]{16}$/),
      client: null,
      expiresAt: null,
    });
  });

  it('knows unknown APIs from unknown routes and from unknown methods', () => {
    decider.load({
      routes: [
        { method: 'GET', path: '/today' },
        { method: 'PUT', path: '/{day}' },
      ],
    });
    expect(refusal(decider.run('GET', '/weather', withKey()))).toMatch(/^404 no_such_api: .*region eu-west/);
    expect(refusal(decider.run('GET', '/weather/v11/today'))).toMatch(/^404 no_such_api/);
    expect(refusal(decider.run('GET', '/weather/v1/a/b', withKey()))).toMatch(/^404 no_such_route: weather:v1/);
    const notAllowed = decider.run('DELETE', '/weather/v1/today', withKey());
    expect(refusal(notAllowed)).toMatch(/^405 method_not_allowed: .*GET, HEAD, PUT only/);
    expect(fieldsOf(notAllowed)['allow']).toBe('GET, HEAD, PUT');
  });

  it('takes the longest context', () => {
    decider.load(
      { routes: [{ method: 'GET', path: '/*' }] },
      ...placed(
        definitionOf({
          name: 'alerts',
          context: '/weather/v1/alerts',
          security: 'open',
          routes: [{ method: 'GET', path: '/*' }],
        }),
      ),
    );
    expect(forwarded(decider.run('GET', '/weather/v1/alerts/x')).api.id).toBe('alerts:v1');
    expect(forwarded(decider.run('GET', '/weather/v1/alert', withKey())).api.id).toBe('weather:v1');
  });

  it('refuses paths that two servers could read differently', () => {
    decider.load({ routes: [{ method: 'GET', path: '/*' }] });
    for (const target of [
      '/weather/v1/../x',
      '/weather/v1/%2e%2e/x',
      '/weather/v1/a%2Fb',
      '/weather/v1/%',
      '/weather/v1/a%00',
      'http://host/weather/v1/a',
      '/weather/v1/a\\b',
      '/weather//v1/a',
      '/weather/v1//a',
      '/weather/v1/a;b',
      '/weather/v1/%c0%ae',
    ]) {
      expect(refusal(decider.run('GET', target, withKey()))).toMatch(/^400 bad_request: the (path|request target) /);
    }
  });

  it('refuses an encoded slash, but for APIs whose upstreams expect it', () => {
    const routes: Definition['routes'] = [
      { method: 'GET', path: '/{id}' },
      { method: 'PUT', path: '/a%2Fb' },
    ];
    decider.load({ routes });
    for (const path of ['/weather/v1/a%2Fb', '/nowhere/a%2Fb'])
      expect(refusal(decider.run('GET', path, withKey()))).toBe('400 bad_request: the path has an encoded slash');
    decider.load({ routes, encodedSlashes: 'pass' });
    const decision = forwarded(decider.run('GET', '/weather/v1/group%2Fproject', withKey()));
    expect([decision.path, decision.route.name]).toEqual(['/group%2Fproject', 'GET /{id}']);
    expect(forwarded(decider.run('PUT', '/weather/v1/a%2fb', withKey())).path).toBe('/a%2fb');
    // it is no way into another context, and none out of this one
    expect(refusal(decider.run('GET', '/weather%2Fv1/a', withKey()))).toMatch(/^400 .*encoded slash/);
    expect(refusal(decider.run('GET', '/weather/v1/..%2Fx', withKey()))).toMatch(/^400 .*segment/);
  });

  it('matches an encoded letter like the letter, in contexts and routes', () => {
    decider.load({});
    expect(forwarded(decider.run('GET', '/we%61ther/v1/%74oday', withKey())).path).toBe('/%74oday');
  });

  it('replaces the prefix that a rewrite names, whole segments only', () => {
    decider.load({
      routes: [{ method: 'GET', path: '/*' }],
      policies: { rewrite: { prefix: '/old/api', with: '/new' } },
    });
    expect(forwarded(decider.run('GET', '/weather/v1/old/api/x?q=1', withKey())).path).toBe('/new/x?q=1');
    expect(forwarded(decider.run('GET', '/weather/v1/old/api', withKey())).path).toBe('/new');
    expect(forwarded(decider.run('GET', '/weather/v1/old/%61pi/', withKey())).path).toBe('/new/');
    expect(forwarded(decider.run('GET', '/weather/v1/old/apis', withKey())).path).toBe('/old/apis');
  });

  it('adds a prefix to everything, or takes one away, by rewrites to and from /', () => {
    decider.load({
      routes: [
        { method: 'GET', path: '/*', policies: { rewrite: { prefix: '/', with: 'base/' } } },
        { method: 'PUT', path: '/*', policies: { rewrite: { prefix: '/a/', with: '/' } } },
      ],
    });
    expect(forwarded(decider.run('GET', '/weather/v1/x', withKey())).path).toBe('/base/x');
    expect(forwarded(decider.run('GET', '/weather/v1', withKey())).path).toBe('/base');
    expect(forwarded(decider.run('PUT', '/weather/v1/a/b', withKey())).path).toBe('/b');
    expect(forwarded(decider.run('PUT', '/weather/v1/a', withKey())).path).toBe('');
  });

  it('takes the targets of its region instead of the others', () => {
    const upstream = {
      targets: [{ url: 'http://a:1/base/' }],
      regions: { 'eu-west': { targets: [{ url: 'https://b', weight: 3 }] } },
    };
    decider.load({ upstream });
    expect(forwarded(decider.run('GET', '/weather/v1/today', withKey())).api.upstream.targets).toMatchObject([
      { origin: 'https://b', path: '', weight: 3 },
    ]);
    const elsewhere = new CompiledState('us-east');
    elsewhere.refresh(decider.memory.snapshot());
    expect(elsewhere.apiAt(['weather', 'v1'])?.api.upstream.targets).toMatchObject([
      { origin: 'http://a:1', path: '/base', weight: 1 },
    ]);
  });
});

describe('policies', () => {
  it('allow and deny addresses of both families; deny wins', () => {
    decider.load({
      security: 'open',
      policies: {
        ip: { allow: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.1'], deny: ['10.9.0.0/16', '2001:db8:bad::/48'] },
      },
    });
    const from = (address: string): string => decider.run('GET', '/weather/v1/today', {}, UNLIMITED, address).kind;
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.1', '2001:db8::1', '2001:db8::1%eth0'])
      expect(from(address)).toBe('forward');
    for (const address of [
      '10.9.0.1',
      '::ffff:10.9.0.1',
      '192.0.2.2',
      '2001:db8:bad::1',
      '2001:db9::1',
      '::ffff:a09:1',
    ])
      expect(from(address)).toBe('respond');
    expect(refusal(decider.run('GET', '/weather/v1/today', {}, UNLIMITED, '192.0.2.2'))).toBe(
      '403 ip_denied: the address 192.0.2.2 may not call this API',
    );
  });

  it('let nobody in whose address cannot be read, where there is any list', () => {
    const kinds = (address: string | null): string[] =>
      [{ deny: ['10.0.0.0/8'] }, { allow: ['0.0.0.0/0', '::/0'] }, { deny: [] }, {}].map((ip) => {
        decider.load({ security: 'open', policies: { ip } });
        return decider.run('GET', '/weather/v1/today', {}, UNLIMITED, address).kind;
      });
    for (const address of ['', 'unknown', '10.0.0.1:80', '[::1]'])
      expect(kinds(address)).toEqual(['respond', 'respond', 'respond', 'forward']);
    expect(kinds(null)).toEqual(['forward', 'forward', 'forward', 'forward']);
  });

  it('read a block of mapped addresses as one of IPv4', () => {
    decider.load({ security: 'open', policies: { ip: { allow: ['::ffff:10.0.0.0/104'] } } });
    expect(decider.run('GET', '/weather/v1/today', {}, UNLIMITED, '10.200.0.1').kind).toBe('forward');
    expect(decider.run('GET', '/weather/v1/today', {}, UNLIMITED, '11.0.0.1').kind).toBe('respond');
  });

  it('refuse a body that announces itself as too large', () => {
    decider.load({ security: 'open', policies: { maxBodyBytes: 10 } });
    expect(decider.run('GET', '/weather/v1/today', { 'content-length': '10' }).kind).toBe('forward');
    expect(refusal(decider.run('GET', '/weather/v1/today', { 'content-length': '11' }))).toBe(
      '413 body_too_large: the body may have 10 bytes at most',
    );
  });

  it('of a route take the place of those of the API, each as a whole', () => {
    decider.load({
      security: 'open',
      policies: { maxBodyBytes: 10, ip: { deny: ['192.0.2.7'] } },
      routes: [{ method: 'GET', path: '/today', policies: { ip: { deny: [] } } }],
    });
    expect(refusal(decider.run('GET', '/weather/v1/today', { 'content-length': '11' }))).toMatch(/^413/);
    expect(decider.run('GET', '/weather/v1/today').kind).toBe('forward');
  });

  it('answer a mock after all checks', () => {
    decider.load({
      policies: {
        mock: { status: 201, headers: { 'Content-Type': 'text/plain', 'X-A': '1' }, body: 'hi' },
        responseHeaders: { set: { 'x-a': '2' } },
      },
    });
    expect(decider.run('GET', '/weather/v1/today', withKey())).toMatchObject({
      kind: 'respond',
      code: null,
      status: 201,
      body: 'hi',
      headers: ['Content-Type', 'text/plain', 'x-a', '2'],
    });
    expect(refusal(decider.run('GET', '/weather/v1/today'))).toMatch(/^401/);
  });

  it('keep answers where one route says so, and then name every request by what was sent, without its credential', () => {
    const uri = (method: string, target: string): string | null =>
      forwarded(decider.run(method, target, withKey())).uri;
    const routes: Definition['routes'] = [
      { method: 'GET', path: '/*', policies: { cache: { ttlSeconds: 5 } } },
      { method: 'PUT', path: '/*', policies: { rewrite: { prefix: '/a', with: '/b' } } },
    ];
    decider.load({ routes, credential: { query: 'k' } });
    expect(uri('GET', '/weather/v1/a?x=1&k=hg_live_test')).toBe('/weather/v1/a?x=1');
    expect(uri('PUT', '/weather/v1/a?x=1')).toBe('/weather/v1/a?x=1');
    decider.load({ routes: routes.slice(1) });
    expect(uri('PUT', '/weather/v1/a')).toBeNull();
  });

  it('refuse a state that is older than the API allows, or whose age nobody knows', () => {
    decider.load({ security: 'open', maxStaleness: { seconds: 60, past: 'refuse' } });
    expect(refusal(decider.run('GET', '/weather/v1/today'))).toMatch(/^503 too_stale: .*last 60 seconds/);
    decider.state.headIssuedAt = NOW - 60_001;
    expect(refusal(decider.run('GET', '/weather/v1/today'))).toMatch(/^503 too_stale/);
    decider.state.headIssuedAt = NOW - 60_000;
    forwarded(decider.run('GET', '/weather/v1/today'));
    decider.load({ security: 'open', maxStaleness: { seconds: 60 } });
    decider.state.headIssuedAt = null;
    forwarded(decider.run('GET', '/weather/v1/today'));
  });
});

describe('CORS', () => {
  const cors = {
    origins: ['https://app.example.com'],
    headers: ['X-API-Key'],
    exposeHeaders: ['X-Total'],
    credentials: true,
    maxAgeSeconds: 600,
  };
  const routes: Definition['routes'] = [
    { method: 'GET', path: '/today' },
    { method: 'POST', path: '/today' },
  ];
  const preflight = (origin: string, method: string, more = {}) => ({
    origin,
    'access-control-request-method': method,
    ...more,
  });

  it('answers a preflight without a credential', () => {
    decider.load({ routes, policies: { cors } });
    const decision = decider.run('OPTIONS', '/weather/v1/today', preflight('https://app.example.com', 'POST'));
    expect(decision).toMatchObject({ kind: 'respond', status: 204, code: null, body: '' });
    expect(fieldsOf(decision)).toEqual({
      'access-control-allow-origin': 'https://app.example.com',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, HEAD, POST',
      'access-control-allow-headers': 'X-API-Key',
      'access-control-max-age': '600',
      vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    });
  });

  it('gives a foreign origin no leave', () => {
    decider.load({ routes, policies: { cors } });
    const decision = decider.run('OPTIONS', '/weather/v1/today', preflight('https://evil.example.com', 'POST'));
    expect(Object.keys(fieldsOf(decision))).toEqual(['vary']);
    expect(
      fieldsOf(forwarded(decider.run('GET', '/weather/v1/today', withKey({ origin: 'https://evil.example.com' })))),
    ).toEqual({ vary: 'Origin' });
  });

  it('adds its headers to answers of the upstream and to refusals alike', () => {
    decider.load({ routes, policies: { cors } });
    const expected = {
      'access-control-allow-origin': 'https://app.example.com',
      'access-control-expose-headers': 'X-Total',
      vary: 'Origin',
    };
    expect(
      fieldsOf(forwarded(decider.run('GET', '/weather/v1/today', withKey({ origin: 'https://app.example.com' })))),
    ).toMatchObject(expected);
    expect(fieldsOf(decider.run('GET', '/weather/v1/today', { origin: 'https://app.example.com' }))).toMatchObject(
      expected,
    );
    expect(fieldsOf(decider.run('GET', '/weather/v1/gone', { origin: 'https://app.example.com' }))).toMatchObject(
      expected,
    );
  });

  it('lets any origin in by *, and what headers it asks for where none are named', () => {
    decider.load({ routes, policies: { cors: { origins: ['*'] } } });
    const decision = decider.run(
      'OPTIONS',
      '/weather/v1/today',
      preflight('null', 'GET', { 'access-control-request-headers': 'x-a, x-b' }),
    );
    expect(fieldsOf(decision)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'x-a, x-b',
    });
    expect(
      fieldsOf(forwarded(decider.run('GET', '/weather/v1/today', withKey({ origin: 'https://a.example.com' })))),
    ).toEqual({
      'access-control-allow-origin': '*',
    });
  });

  it('leaves OPTIONS alone without the policy, and where it is no preflight', () => {
    decider.load({ routes: [...routes, { method: 'OPTIONS', path: '/today', security: 'open' }] });
    forwarded(decider.run('OPTIONS', '/weather/v1/today', preflight('https://app.example.com', 'GET')));
    decider.load({ routes, policies: { cors } });
    expect(refusal(decider.run('OPTIONS', '/weather/v1/today', { origin: 'https://app.example.com' }))).toMatch(/^405/);
    expect(refusal(decider.run('OPTIONS', '/weather/v1/gone', preflight('https://app.example.com', 'GET')))).toMatch(
      /^404/,
    );
  });
});

describe('the revision', () => {
  it('is waited for where the caller asks for a newer one', () => {
    decider.load({});
    const ask = (value: string | string[]): Decision =>
      decider.run('GET', '/weather/v1/today', withKey({ 'heliograph-min-revision': value }));
    forwarded(ask('prod@1'));
    expect(refusal(ask('prod@2'))).toBe('425 behind_min_revision: revision 1 is loaded here, 2 is asked for');
    expect(fieldsOf(ask('prod@2'))['retry-after']).toBe('1');
    expect(refusal(ask('staging@1'))).toMatch(/^400 bad_request: .*environment staging/);
    for (const wrong of [
      '',
      'prod',
      'prod@',
      'prod@x',
      'prod@1.5',
      'prod@-1',
      '@1',
      `prod@${'9'.repeat(16)}`,
      ['prod@1', 'prod@1'],
    ]) {
      expect(refusal(ask(wrong))).toMatch(/^400 bad_request: Heliograph-Min-Revision must be one value like prod@184/);
    }
  });

  it('is asked for before anything else, because the newer one may have what this one has not', () => {
    decider.load({});
    expect(refusal(decider.run('GET', '/maps/v1/x', { 'heliograph-min-revision': 'prod@9' }))).toMatch(/^425/);
  });

  it('has to be loaded at all', () => {
    expect(refusal(decider.run('GET', '/weather/v1/today'))).toMatch(/^503 not_ready/);
    decider.state.refresh(decider.memory.snapshot());
    expect(refusal(decider.run('GET', '/weather/v1/today'))).toMatch(/^503 not_ready/);
  });
});
