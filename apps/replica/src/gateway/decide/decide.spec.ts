import { beforeEach, describe, expect, it } from 'vitest';
import type { Definition, Op } from '#model';
import type { Spending } from '#throttle';
import { planOp } from '../../testing/sample-ops.js';
import { headOf } from '../testing/heads.js';
import { MemoryState } from '../testing/memory-state.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed, SUBSCRIPTION } from '../testing/ops.js';
import { CompiledState } from './compile/compiled-state.js';
import { decide, type Limiter, UNLIMITED } from './decide.js';
import type { Decision, Forward, Respond } from './decision.js';

const NOW = Date.parse('2026-05-02T12:00:00Z');
const KEY = 'hg_live_test';

let memory: MemoryState;
let state: CompiledState;

function load(definition: Partial<Definition>, ...more: Op[]): void {
  memory.apply(placed(definitionOf(definition)), planOp('gold', {}), applicationOp({ 'weather:v1': 'gold' }), keyOp(KEY), more);
  state.refresh(memory.snapshot());
}

beforeEach(() => {
  memory = new MemoryState();
  state = new CompiledState('eu-west');
});

function run(method: string, target: string, headers: Record<string, string | string[]> = {}, limiter: Limiter = UNLIMITED, address: string | null = '192.0.2.7'): Decision {
  return decide(headOf(method, target, headers, address), state, limiter, NOW);
}

const withKey = (more: Record<string, string | string[]> = {}) => ({ 'x-api-key': KEY, ...more });

function refused(decision: Decision): string {
  if (decision.kind !== 'respond') throw new Error(`it is ${decision.kind}`);
  const document = JSON.parse(decision.body) as { status: number; code: string; detail: string; requestId: string };
  expect(document).toMatchObject({ status: decision.status, code: decision.code, requestId: 'req-1' });
  expect(fields(decision)['content-type']).toBe('application/problem+json; charset=utf-8');
  return `${document.status} ${document.code}: ${document.detail}`;
}

function forwarded(decision: Decision): Forward {
  if (decision.kind !== 'forward') throw new Error(`it is ${JSON.stringify(decision)}`);
  return decision;
}

function fields(decision: Respond | Forward): Record<string, string> {
  const result: Record<string, string> = {};
  for (let i = 0; i < decision.headers.length; i += 2) result[(decision.headers[i] as string).toLowerCase()] = decision.headers[i + 1] as string;
  return result;
}

describe('where a request goes', () => {
  it('finds API and route, and sends on what stands below the context, with its query', () => {
    load({ routes: [{ method: 'GET', path: '/cities/{id}/*' }] });
    const decision = forwarded(run('GET', '/weather/v1/cities/p%20q/a//b?x=%2F&y', withKey()));
    expect(decision.path).toBe('/cities/p%20q/a//b?x=%2F&y');
    expect(decision.route.name).toBe('GET /cities/{id}/*');
    expect(decision.consumer).toEqual({ application: APPLICATION, subscription: SUBSCRIPTION, plan: 'gold', expiresAt: null });
  });

  it('knows unknown APIs from unknown routes and from unknown methods', () => {
    load({ routes: [{ method: 'GET', path: '/today' }, { method: 'PUT', path: '/{day}' }] });
    expect(refused(run('GET', '/weather', withKey()))).toMatch(/^404 no_such_api: .*region eu-west/);
    expect(refused(run('GET', '/weather/v11/today'))).toMatch(/^404 no_such_api/);
    expect(refused(run('GET', '/weather//v1/today'))).toMatch(/^404 no_such_api/);
    expect(refused(run('GET', '/weather/v1/a/b', withKey()))).toMatch(/^404 no_such_route: weather:v1/);
    const notAllowed = run('DELETE', '/weather/v1/today', withKey()) as Respond;
    expect(refused(notAllowed)).toMatch(/^405 method_not_allowed: .*GET, HEAD, PUT only/);
    expect(fields(notAllowed)['allow']).toBe('GET, HEAD, PUT');
  });

  it('takes the longest context', () => {
    load({ routes: [{ method: 'GET', path: '/*' }] }, ...placed(definitionOf({ name: 'alerts', context: '/weather/v1/alerts', security: 'open', routes: [{ method: 'GET', path: '/*' }] })));
    expect(forwarded(run('GET', '/weather/v1/alerts/x')).api.id).toBe('alerts:v1');
    expect(forwarded(run('GET', '/weather/v1/alert', withKey())).api.id).toBe('weather:v1');
  });

  it('refuses paths that two servers could read differently', () => {
    load({ routes: [{ method: 'GET', path: '/*' }] });
    for (const target of ['/weather/v1/../x', '/weather/v1/%2e%2e/x', '/weather/v1/a%2Fb', '/weather/v1/%', '/weather/v1/a%00', 'http://host/weather/v1/a', '/weather/v1/a\\b']) {
      expect(refused(run('GET', target, withKey()))).toMatch(/^400 bad_request: the (path|request target) /);
    }
  });

  it('matches an encoded letter like the letter, in contexts and routes', () => {
    load({});
    expect(forwarded(run('GET', '/we%61ther/v1/%74oday', withKey())).path).toBe('/%74oday');
  });

  it('replaces the prefix that a rewrite names, whole segments only', () => {
    load({ routes: [{ method: 'GET', path: '/*' }], policies: { rewrite: { prefix: '/old/api', with: '/new' } } });
    expect(forwarded(run('GET', '/weather/v1/old/api/x?q=1', withKey())).path).toBe('/new/x?q=1');
    expect(forwarded(run('GET', '/weather/v1/old/api', withKey())).path).toBe('/new');
    expect(forwarded(run('GET', '/weather/v1/old/%61pi/', withKey())).path).toBe('/new/');
    expect(forwarded(run('GET', '/weather/v1/old/apis', withKey())).path).toBe('/old/apis');
  });

  it('adds a prefix to everything, or takes one away, by rewrites to and from /', () => {
    load({ routes: [{ method: 'GET', path: '/*', policies: { rewrite: { prefix: '/', with: 'base/' } } }, { method: 'PUT', path: '/*', policies: { rewrite: { prefix: '/a/', with: '/' } } }] });
    expect(forwarded(run('GET', '/weather/v1/x', withKey())).path).toBe('/base/x');
    expect(forwarded(run('GET', '/weather/v1', withKey())).path).toBe('/base');
    expect(forwarded(run('PUT', '/weather/v1/a/b', withKey())).path).toBe('/b');
    expect(forwarded(run('PUT', '/weather/v1/a', withKey())).path).toBe('');
  });

  it('takes the targets of its region instead of the others', () => {
    const upstream = { targets: [{ url: 'http://a:1/base/' }], regions: { 'eu-west': { targets: [{ url: 'https://b', weight: 3 }] } } };
    load({ upstream });
    expect(forwarded(run('GET', '/weather/v1/today', withKey())).api.upstream.targets).toEqual([{ origin: 'https://b', path: '', weight: 3 }]);
    const elsewhere = new CompiledState('us-east');
    elsewhere.refresh(memory.snapshot());
    state = elsewhere;
    expect(forwarded(run('GET', '/weather/v1/today', withKey())).api.upstream.targets).toEqual([{ origin: 'http://a:1', path: '/base', weight: 1 }]);
  });
});

describe('the credential', () => {
  it('comes in X-API-Key or as Bearer, and does not go upstream', () => {
    load({});
    expect(forwarded(run('GET', '/weather/v1/today', withKey())).withheld).toEqual(['x-api-key']);
    expect(forwarded(run('GET', '/weather/v1/today', { authorization: `bearer  ${KEY}` })).withheld).toEqual(['authorization']);
    const both = run('GET', '/weather/v1/today', { authorization: `Bearer ${KEY}`, 'x-api-key': KEY });
    expect(forwarded(both).withheld).toEqual(['x-api-key', 'authorization']);
  });

  it('leaves an Authorization of another scheme to the upstream', () => {
    load({});
    expect(forwarded(run('GET', '/weather/v1/today', withKey({ authorization: 'Basic eDp5' }))).withheld).toEqual(['x-api-key']);
    expect(refused(run('GET', '/weather/v1/today', { authorization: 'Basic eDp5' }))).toMatch(/^401 credential_missing/);
  });

  it('comes where the API says, and is taken out of the query', () => {
    load({ credential: { header: 'X-Weather-Key', query: 'api_key' } });
    expect(forwarded(run('GET', '/weather/v1/today', { 'x-weather-key': KEY })).withheld).toEqual(['x-weather-key']);
    expect(forwarded(run('GET', `/weather/v1/today?a=1&%61pi_key=${KEY}&b=2`)).path).toBe('/today?a=1&b=2');
    expect(forwarded(run('GET', `/weather/v1/today?api_key=${KEY}`)).path).toBe('/today');
    const missing = run('GET', '/weather/v1/today', withKey());
    expect(refused(missing)).toBe('401 credential_missing: send a key in the header X-Weather-Key, in the query parameter api_key, or as Authorization: Bearer');
  });

  it('goes upstream where the API wants it to', () => {
    load({ credential: { query: 'k', forward: true } });
    const decision = forwarded(run('GET', `/weather/v1/today?k=${KEY}`, withKey()));
    expect([decision.withheld, decision.path]).toEqual([[], `/today?k=${KEY}`]);
  });

  it('is refused when there are different ones, and taken when they are the same', () => {
    load({ credential: { query: 'k' } });
    expect(refused(run('GET', '/weather/v1/today?k=other', withKey()))).toMatch(/^400 bad_request: .*different credentials/);
    expect(refused(run('GET', '/weather/v1/today', { 'x-api-key': [KEY, 'other'] }))).toMatch(/^400 bad_request/);
    expect(refused(run('GET', '/weather/v1/today', withKey({ authorization: 'Bearer other' })))).toMatch(/^400 bad_request/);
    forwarded(run('GET', `/weather/v1/today?k=${KEY}`, { 'x-api-key': [KEY, KEY] }));
  });

  it('says what is wrong with it, and how to authenticate', () => {
    const past = keyOp('old', { expiresAt: NOW });
    const future = keyOp('new', { expiresAt: NOW + 1000 });
    load({}, past, future, keyOp('revoked', { revoked: true }));
    const ask = (key: string): Respond => run('GET', '/weather/v1/today', { 'x-api-key': key }) as Respond;
    expect(refused(ask('nobody'))).toBe('401 credential_unknown: no such key exists in the environment prod');
    expect(refused(ask('old'))).toBe('401 credential_expired: the key expired at 2026-05-02T12:00:00.000Z');
    expect(refused(ask('revoked'))).toMatch(/^401 credential_revoked/);
    expect(refused(ask(' '))).toMatch(/^401 credential_missing/);
    expect(fields(ask('nobody'))['www-authenticate']).toBe('Bearer realm="weather:v1", error="invalid_token"');
    expect(fields(run('GET', '/weather/v1/today') as Respond)['www-authenticate']).toBe('Bearer realm="weather:v1"');
    forwarded(run('GET', '/weather/v1/today', { 'x-api-key': 'new' }));
  });

  it('is looked up by its bytes as they are on the wire', () => {
    load({}, keyOp('schl\u00fcssel'));
    const wire = Buffer.from('schl\u00fcssel', 'utf8').toString('latin1');
    forwarded(run('GET', '/weather/v1/today', { 'x-api-key': wire }));
  });

  it('is not enough without a subscription, or while the application is suspended', () => {
    const other = '0b5ad1ce-8f0d-4a35-9d7e-000000000002';
    const idle = '0b5ad1ce-8f0d-4a35-9d7e-000000000003';
    load({}, applicationOp({ 'weather:v1': 'gold' }, other, { suspended: true }), keyOp('b', { application: other }), applicationOp({ 'maps:v1': 'gold' }, idle), keyOp('c', { application: idle }));
    expect(refused(run('GET', '/weather/v1/today', { 'x-api-key': 'b' }))).toMatch(/^403 application_suspended/);
    expect(refused(run('GET', '/weather/v1/today', { 'x-api-key': 'c' }))).toMatch(/^403 not_subscribed: .*weather:v1/);
  });

  it('is not asked for on an open route, and still does not go upstream there', () => {
    load({ routes: [{ method: 'GET', path: '/today' }, { method: 'GET', path: '/open', security: 'open' }] });
    expect(forwarded(run('GET', '/weather/v1/open')).consumer).toBeNull();
    expect(forwarded(run('GET', '/weather/v1/open', withKey())).withheld).toEqual(['x-api-key']);
    expect(refused(run('GET', '/weather/v1/today'))).toMatch(/^401/);
  });

  it('is nothing to an API without a secured route: whatever looks like one belongs to the upstream', () => {
    load({ security: 'open' });
    expect(forwarded(run('GET', '/weather/v1/today', withKey({ authorization: 'Bearer x' }))).withheld).toEqual([]);
  });
});

describe('the limits', () => {
  const limited = planOp('gold', { rate: { limit: 100, per: 'minute', burst: 20 }, quota: { limit: 1000, per: 'day' } });
  const gauges = { rate: { remaining: 12, resetMs: 2500 }, quota: { remaining: 40, resetMs: 43_200_000 } };
  const limiter = (spending: Spending, seen: string[] = []): Limiter => ({ spend: (subscription) => (seen.push(subscription), spending) });

  it('are taken from the subscription and told to the caller', () => {
    load({}, limited);
    const seen: string[] = [];
    const decision = forwarded(run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'spent', ...gauges }, seen)));
    expect(fields(decision)).toMatchObject({ ratelimit: '"rate";r=12;t=3, "quota";r=40;t=43200', 'ratelimit-policy': '"rate";q=100;w=60, "quota";q=1000;w=86400' });
    expect(seen).toEqual([SUBSCRIPTION]);
  });

  it('end in 429 that says which limit, of which plan, and when to come back', () => {
    load({}, limited);
    const rate = run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'refused', by: 'rate', retryMs: 1200, unknown: false, ...gauges })) as Respond;
    expect(refused(rate)).toBe('429 rate_limited: the rate of the plan gold, 100 requests per minute, 20 at once, is used up; the next request is admitted in 2 s');
    expect(fields(rate)).toMatchObject({ 'retry-after': '2', ratelimit: '"rate";r=12;t=3, "quota";r=40;t=43200' });
    const quota = run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'refused', by: 'quota', retryMs: 3_600_000, unknown: false, ...gauges })) as Respond;
    expect(refused(quota)).toMatch(/^429 quota_exhausted: the quota of the plan gold, 1000 requests per day, is used up/);
    expect(fields(quota)['retry-after']).toBe('3600');
  });

  it('refuse, and say so, when they cannot be counted', () => {
    load({}, limited);
    const decision = run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'refused', by: 'rate', retryMs: 900, unknown: true, ...gauges }));
    expect(refused(decision)).toMatch(/^429 rate_limited: .*could not be counted in time/);
  });

  it('make a request wait while tokens are fetched', () => {
    load({}, limited);
    expect(run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'wait' }))).toMatchObject({ kind: 'wait', subscription: SUBSCRIPTION, limits: { quota: { limit: 1000 } } });
  });

  it('are spent by no request that is refused, and by none of a plan without limits', () => {
    const seen: string[] = [];
    const counting = limiter({ kind: 'spent', ...gauges }, seen);
    load({ policies: { maxBodyBytes: 1, ip: { deny: ['198.51.100.0/24'] } } }, limited);
    run('GET', '/weather/v1/nowhere', withKey(), counting);
    run('GET', '/weather/v1/today', { 'x-api-key': 'nobody' }, counting);
    run('GET', '/weather/v1/today', withKey({ 'content-length': '2' }), counting);
    run('GET', '/weather/v1/today', withKey(), counting, '198.51.100.1');
    load({});
    forwarded(run('GET', '/weather/v1/today', withKey(), counting));
    expect(seen).toEqual([]);
  });

  it('leave the window of a month out of the policy, because it has no fixed length', () => {
    load({}, planOp('gold', { quota: { limit: 5, per: 'month' } }));
    const decision = run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'spent', rate: null, quota: gauges.quota }));
    expect(fields(forwarded(decision))).toMatchObject({ 'ratelimit-policy': '"quota";q=5', ratelimit: '"quota";r=40;t=43200' });
  });
});

describe('policies', () => {
  it('allow and deny addresses of both families; deny wins', () => {
    load({ security: 'open', policies: { ip: { allow: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.1'], deny: ['10.9.0.0/16', '2001:db8:bad::/48'] } } });
    const from = (address: string): string => run('GET', '/weather/v1/today', {}, UNLIMITED, address).kind;
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.1', '2001:db8::1', '2001:db8::1%eth0']) expect(from(address)).toBe('forward');
    for (const address of ['10.9.0.1', '::ffff:10.9.0.1', '192.0.2.2', '2001:db8:bad::1', '2001:db9::1', 'unknown', '']) expect(from(address)).toBe('respond');
    expect(refused(run('GET', '/weather/v1/today', {}, UNLIMITED, '192.0.2.2'))).toBe('403 ip_denied: the address 192.0.2.2 may not call this API');
  });

  it('read a block of mapped addresses as one of IPv4', () => {
    load({ security: 'open', policies: { ip: { allow: ['::ffff:10.0.0.0/104'] } } });
    expect(run('GET', '/weather/v1/today', {}, UNLIMITED, '10.200.0.1').kind).toBe('forward');
    expect(run('GET', '/weather/v1/today', {}, UNLIMITED, '11.0.0.1').kind).toBe('respond');
  });

  it('refuse a body that announces itself as too large', () => {
    load({ security: 'open', policies: { maxBodyBytes: 10 } });
    expect(run('GET', '/weather/v1/today', { 'content-length': '10' }).kind).toBe('forward');
    expect(refused(run('GET', '/weather/v1/today', { 'content-length': '11' }))).toBe('413 body_too_large: the body may have 10 bytes at most');
  });

  it('of a route take the place of those of the API, each as a whole', () => {
    load({ security: 'open', policies: { maxBodyBytes: 10, ip: { deny: ['192.0.2.7'] } }, routes: [{ method: 'GET', path: '/today', policies: { ip: { deny: [] } } }] });
    expect(refused(run('GET', '/weather/v1/today', { 'content-length': '11' }))).toMatch(/^413/);
    expect(run('GET', '/weather/v1/today').kind).toBe('forward');
  });

  it('answer a mock after all checks', () => {
    load({ policies: { mock: { status: 201, headers: { 'Content-Type': 'text/plain', 'X-A': '1' }, body: 'hi' }, responseHeaders: { set: { 'x-a': '2' } } } });
    expect(run('GET', '/weather/v1/today', withKey())).toMatchObject({ kind: 'respond', code: null, status: 201, body: 'hi', headers: ['Content-Type', 'text/plain', 'x-a', '2'] });
    expect(refused(run('GET', '/weather/v1/today'))).toMatch(/^401/);
  });

  it('refuse a state that is older than the API allows, or whose age nobody knows', () => {
    load({ security: 'open', maxStaleness: { seconds: 60, past: 'refuse' } });
    expect(refused(run('GET', '/weather/v1/today'))).toMatch(/^503 too_stale: .*last 60 seconds/);
    state.headIssuedAt = NOW - 60_001;
    expect(refused(run('GET', '/weather/v1/today'))).toMatch(/^503 too_stale/);
    state.headIssuedAt = NOW - 60_000;
    forwarded(run('GET', '/weather/v1/today'));
    load({ security: 'open', maxStaleness: { seconds: 60 } });
    state.headIssuedAt = null;
    forwarded(run('GET', '/weather/v1/today'));
  });
});

describe('CORS', () => {
  const cors = { origins: ['https://app.example.com'], headers: ['X-API-Key'], exposeHeaders: ['X-Total'], credentials: true, maxAgeSeconds: 600 };
  const routes: Definition['routes'] = [{ method: 'GET', path: '/today' }, { method: 'POST', path: '/today' }];
  const preflight = (origin: string, method: string, more = {}) => ({ origin, 'access-control-request-method': method, ...more });

  it('answers a preflight without a credential', () => {
    load({ routes, policies: { cors } });
    const decision = run('OPTIONS', '/weather/v1/today', preflight('https://app.example.com', 'POST')) as Respond;
    expect(decision).toMatchObject({ kind: 'respond', status: 204, code: null, body: '' });
    expect(fields(decision)).toEqual({
      'access-control-allow-origin': 'https://app.example.com',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET, HEAD, POST',
      'access-control-allow-headers': 'X-API-Key',
      'access-control-max-age': '600',
      vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    });
  });

  it('gives a foreign origin no leave', () => {
    load({ routes, policies: { cors } });
    const decision = run('OPTIONS', '/weather/v1/today', preflight('https://evil.example.com', 'POST')) as Respond;
    expect(Object.keys(fields(decision))).toEqual(['vary']);
    expect(fields(forwarded(run('GET', '/weather/v1/today', withKey({ origin: 'https://evil.example.com' }))))).toEqual({ vary: 'Origin' });
  });

  it('adds its headers to answers of the upstream and to refusals alike', () => {
    load({ routes, policies: { cors } });
    const expected = { 'access-control-allow-origin': 'https://app.example.com', 'access-control-expose-headers': 'X-Total', vary: 'Origin' };
    expect(fields(forwarded(run('GET', '/weather/v1/today', withKey({ origin: 'https://app.example.com' }))))).toMatchObject(expected);
    expect(fields(run('GET', '/weather/v1/today', { origin: 'https://app.example.com' }) as Respond)).toMatchObject(expected);
    expect(fields(run('GET', '/weather/v1/gone', { origin: 'https://app.example.com' }) as Respond)).toMatchObject(expected);
  });

  it('lets any origin in by *, and what headers it asks for where none are named', () => {
    load({ routes, policies: { cors: { origins: ['*'] } } });
    const decision = run('OPTIONS', '/weather/v1/today', preflight('null', 'GET', { 'access-control-request-headers': 'x-a, x-b' })) as Respond;
    expect(fields(decision)).toMatchObject({ 'access-control-allow-origin': '*', 'access-control-allow-headers': 'x-a, x-b' });
    expect(fields(forwarded(run('GET', '/weather/v1/today', withKey({ origin: 'https://a.example.com' }))))).toEqual({ 'access-control-allow-origin': '*' });
  });

  it('leaves OPTIONS alone without the policy, and where it is no preflight', () => {
    load({ routes: [...routes, { method: 'OPTIONS', path: '/today', security: 'open' }] });
    forwarded(run('OPTIONS', '/weather/v1/today', preflight('https://app.example.com', 'GET')));
    load({ routes, policies: { cors } });
    expect(refused(run('OPTIONS', '/weather/v1/today', { origin: 'https://app.example.com' }))).toMatch(/^405/);
    expect(refused(run('OPTIONS', '/weather/v1/gone', preflight('https://app.example.com', 'GET')))).toMatch(/^404/);
  });
});

describe('the revision', () => {
  it('is waited for where the caller asks for a newer one', () => {
    load({});
    const ask = (value: string | string[]): Decision => run('GET', '/weather/v1/today', withKey({ 'heliograph-min-revision': value }));
    forwarded(ask('prod@1'));
    expect(refused(ask('prod@2'))).toBe('425 behind_min_revision: revision 1 is loaded here, 2 is asked for');
    expect(fields(ask('prod@2') as Respond)['retry-after']).toBe('1');
    expect(refused(ask('staging@1'))).toMatch(/^400 bad_request: .*environment staging/);
    for (const wrong of ['', 'prod', 'prod@', 'prod@x', 'prod@1.5', 'prod@-1', '@1', `prod@${'9'.repeat(16)}`, ['prod@1', 'prod@1']]) {
      expect(refused(ask(wrong))).toMatch(/^400 bad_request: Heliograph-Min-Revision must be one value like prod@184/);
    }
  });

  it('is asked for before anything else, because the newer one may have what this one has not', () => {
    load({});
    expect(refused(run('GET', '/maps/v1/x', { 'heliograph-min-revision': 'prod@9' }))).toMatch(/^425/);
  });

  it('has to be loaded at all', () => {
    expect(refused(run('GET', '/weather/v1/today'))).toMatch(/^503 not_ready/);
    state.refresh(memory.snapshot());
    expect(refused(run('GET', '/weather/v1/today'))).toMatch(/^503 not_ready/);
  });
});
