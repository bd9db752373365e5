import { beforeEach, describe, expect, it } from 'vitest';
import type { Gauge, Limit, Scope, Spending } from '#throttle';
import { Decider, fieldsOf, forwarded, KEY, NOW, refusal, withKey } from '../../testing/decider.js';
import { applicationOp, keyOp, SUBSCRIPTION } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import type { Limiter } from './take-tokens.js';
import type { Decision } from './decision.js';

let decider: Decider;

beforeEach(() => {
  decider = new Decider();
});

describe('the credential', () => {
  it('comes in X-API-Key or as Bearer, and does not go upstream', () => {
    decider.load({});
    expect(forwarded(decider.run('GET', '/weather/v1/today', withKey())).withheld).toEqual(['x-api-key']);
    expect(forwarded(decider.run('GET', '/weather/v1/today', { authorization: `bearer  ${KEY}` })).withheld).toEqual([
      'authorization',
    ]);
    const both = decider.run('GET', '/weather/v1/today', { authorization: `Bearer ${KEY}`, 'x-api-key': KEY });
    expect(forwarded(both).withheld).toEqual(['x-api-key', 'authorization']);
  });

  it('leaves an Authorization of another scheme to the upstream', () => {
    decider.load({});
    expect(
      forwarded(decider.run('GET', '/weather/v1/today', withKey({ authorization: 'Basic eDp5' }))).withheld,
    ).toEqual(['x-api-key']);
    expect(refusal(decider.run('GET', '/weather/v1/today', { authorization: 'Basic eDp5' }))).toMatch(
      /^401 credential_missing/,
    );
  });

  it('comes where the API says, and is taken out of the query', () => {
    decider.load({ credential: { header: 'X-Weather-Key', query: 'api_key' } });
    expect(forwarded(decider.run('GET', '/weather/v1/today', { 'x-weather-key': KEY })).withheld).toEqual([
      'x-weather-key',
    ]);
    expect(forwarded(decider.run('GET', `/weather/v1/today?a=1&%61pi_key=${KEY}&b=2`)).path).toBe('/today?a=1&b=2');
    expect(forwarded(decider.run('GET', `/weather/v1/today?api_key=${KEY}`)).path).toBe('/today');
    const missing = decider.run('GET', '/weather/v1/today', withKey());
    expect(refusal(missing)).toBe(
      '401 credential_missing: send a key in the header X-Weather-Key, in the query parameter api_key, or as Authorization: Bearer',
    );
  });

  it('goes upstream where the API wants it to', () => {
    decider.load({ credential: { query: 'k', forward: true } });
    const decision = forwarded(decider.run('GET', `/weather/v1/today?k=${KEY}`, withKey()));
    expect([decision.withheld, decision.path]).toEqual([[], `/today?k=${KEY}`]);
  });

  it('is refused when there are different ones, and taken when they are the same', () => {
    decider.load({ credential: { query: 'k' } });
    expect(refusal(decider.run('GET', '/weather/v1/today?k=other', withKey()))).toMatch(
      /^400 bad_request: .*different credentials/,
    );
    expect(refusal(decider.run('GET', '/weather/v1/today', { 'x-api-key': [KEY, 'other'] }))).toMatch(
      /^400 bad_request/,
    );
    expect(refusal(decider.run('GET', '/weather/v1/today', withKey({ authorization: 'Bearer other' })))).toMatch(
      /^400 bad_request/,
    );
    forwarded(decider.run('GET', `/weather/v1/today?k=${KEY}`, { 'x-api-key': [KEY, KEY] }));
  });

  it('says what is wrong with it, and how to authenticate', () => {
    const past = keyOp('old', { expiresAt: NOW });
    const future = keyOp('new', { expiresAt: NOW + 1000 });
    decider.load({}, past, future, keyOp('revoked', { revoked: true }));
    const ask = (key: string): Decision => decider.run('GET', '/weather/v1/today', { 'x-api-key': key });
    expect(refusal(ask('nobody'))).toBe('401 credential_unknown: no such key exists in the environment prod');
    expect(refusal(ask('a.b.c'))).toMatch(/ in the environment prod; access tokens are not taken here$/);
    expect(refusal(ask('old'))).toBe('401 credential_expired: the key expired at 2026-05-02T12:00:00.000Z');
    expect(refusal(ask('revoked'))).toMatch(/^401 credential_revoked/);
    expect(refusal(ask(' '))).toMatch(/^401 credential_missing/);
    expect(fieldsOf(ask('nobody'))['www-authenticate']).toBe('Bearer realm="weather:v1", error="invalid_token"');
    expect(fieldsOf(decider.run('GET', '/weather/v1/today'))['www-authenticate']).toBe('Bearer realm="weather:v1"');
    forwarded(decider.run('GET', '/weather/v1/today', { 'x-api-key': 'new' }));
  });

  it('is looked up by its bytes as they are on the wire', () => {
    decider.load({}, keyOp('schl\u00fcssel'));
    const wire = Buffer.from('schl\u00fcssel', 'utf8').toString('latin1');
    forwarded(decider.run('GET', '/weather/v1/today', { 'x-api-key': wire }));
  });

  it('is not enough without a subscription, or while the application is suspended', () => {
    const other = '0b5ad1ce-8f0d-4a35-9d7e-000000000002';
    const idle = '0b5ad1ce-8f0d-4a35-9d7e-000000000003';
    decider.load(
      {},
      applicationOp({ 'weather:v1': 'gold' }, other, { suspended: true }),
      keyOp('b', { application: other }),
      applicationOp({ 'maps:v1': 'gold' }, idle),
      keyOp('c', { application: idle }),
    );
    expect(refusal(decider.run('GET', '/weather/v1/today', { 'x-api-key': 'b' }))).toMatch(
      /^403 application_suspended/,
    );
    expect(refusal(decider.run('GET', '/weather/v1/today', { 'x-api-key': 'c' }))).toMatch(
      /^403 not_subscribed: .*weather:v1/,
    );
  });

  it('is not asked for on an open route, and still does not go upstream there', () => {
    decider.load({
      routes: [
        { method: 'GET', path: '/today' },
        { method: 'GET', path: '/open', security: 'open' },
      ],
    });
    expect(forwarded(decider.run('GET', '/weather/v1/open')).consumer).toBeNull();
    expect(forwarded(decider.run('GET', '/weather/v1/open', withKey())).withheld).toEqual(['x-api-key']);
    expect(refusal(decider.run('GET', '/weather/v1/today'))).toMatch(/^401/);
  });

  it('is nothing to an API without a secured route: whatever looks like one belongs to the upstream', () => {
    decider.load({ security: 'open' });
    expect(forwarded(decider.run('GET', '/weather/v1/today', withKey({ authorization: 'Bearer x' }))).withheld).toEqual(
      [],
    );
  });
});

describe('the limits', () => {
  const limited = planOp('gold', {
    rate: { limit: 100, per: 'minute', burst: 20 },
    quota: { limit: 1000, per: 'day' },
  });
  const gauge = (scope: Scope, limit: Limit, remaining: number, resetMs: number): Gauge => ({
    scope,
    bucket: { ...limit, name: '' },
    remaining,
    resetMs: (now) => resetMs - now,
  });
  const rate = gauge('consumer', { kind: 'rate', limit: { limit: 100, per: 'minute', burst: 20 } }, 12, 2600);
  const quota = gauge('consumer', { kind: 'quota', limit: { limit: 1000, per: 'day' } }, 40, 43_200_100);
  const gauges = { gauges: [rate, quota], now: 100 };
  const limiter = (spending: Spending, seen: string[] = []): Limiter => ({
    spend: (_, { consumer }) => (seen.push(consumer), spending),
    fetch: (_, { consumer }) => Promise.resolve(void seen.push(`fetch ${consumer}`)),
  });

  it('are taken from the subscription and told to the caller', () => {
    decider.load({}, limited);
    const seen: string[] = [];
    const decision = forwarded(
      decider.run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'spent', ...gauges }, seen)),
    );
    expect(fieldsOf(decision)).toMatchObject({
      ratelimit: '"rate";r=12;t=3, "quota";r=40;t=43200',
      'ratelimit-policy': '"rate";q=100;w=60, "quota";q=1000;w=86400',
    });
    expect(seen).toEqual([SUBSCRIPTION]);
  });

  it('end in 429 that says which limit, of which plan, and when to come back', () => {
    decider.load({}, limited);
    const late = decider.run(
      'GET',
      '/weather/v1/today',
      withKey(),
      limiter({ kind: 'refused', by: rate, retryMs: 1200, unknown: null, ...gauges }),
    );
    expect(refusal(late)).toBe(
      '429 rate_limited: the rate of the plan gold, 100 requests per minute, 20 at once, is used up; the next request is admitted in 2 s',
    );
    expect(fieldsOf(late)).toMatchObject({ 'retry-after': '2', ratelimit: '"rate";r=12;t=3, "quota";r=40;t=43200' });
    const gone = decider.run(
      'GET',
      '/weather/v1/today',
      withKey(),
      limiter({ kind: 'refused', by: quota, retryMs: 3_600_000, unknown: null, ...gauges }),
    );
    expect(refusal(gone)).toMatch(
      /^429 quota_exhausted: the quota of the plan gold, 1000 requests per day, is used up/,
    );
    expect(fieldsOf(gone)['retry-after']).toBe('3600');
  });

  it.each([
    ['late', 'could not be counted in time'],
    ['silent', "could not be counted: this replica's counters do not answer"],
  ] as const)('refuse, and say so, when they cannot be counted as the store is %s', (unknown, said) => {
    decider.load({}, limited);
    const decision = decider.run(
      'GET',
      '/weather/v1/today',
      withKey(),
      limiter({ kind: 'refused', by: rate, retryMs: 900, unknown, ...gauges }),
    );
    expect(refusal(decision)).toBe(
      `429 rate_limited: the rate of the plan gold, 100 requests per minute, 20 at once, ${said}`,
    );
  });

  it('make a request wait while tokens are fetched', () => {
    decider.load({}, limited);
    const seen: string[] = [];
    const decision = decider.run('GET', '/weather/v1/today', withKey(), limiter({ kind: 'wait' }, seen));
    if (decision.kind === 'wait') void decision.fetch();
    expect(seen).toEqual([SUBSCRIPTION, `fetch ${SUBSCRIPTION}`]);
  });

  it('are spent by no request that is refused, and by none of a plan without limits', () => {
    const seen: string[] = [];
    const counting = limiter({ kind: 'spent', ...gauges }, seen);
    decider.load({ policies: { maxBodyBytes: 1, ip: { deny: ['198.51.100.0/24'] } } }, limited);
    decider.run('GET', '/weather/v1/nowhere', withKey(), counting);
    decider.run('GET', '/weather/v1/today', { 'x-api-key': 'nobody' }, counting);
    decider.run('GET', '/weather/v1/today', withKey({ 'content-length': '2' }), counting);
    decider.run('GET', '/weather/v1/today', withKey(), counting, '198.51.100.1');
    decider.load({});
    forwarded(decider.run('GET', '/weather/v1/today', withKey(), counting));
    expect(seen).toEqual([]);
  });

  it('leave the window of a month out of the policy, because it has no fixed length', () => {
    decider.load({}, planOp('gold', { quota: { limit: 5, per: 'month' } }));
    const decision = decider.run(
      'GET',
      '/weather/v1/today',
      withKey(),
      limiter({ kind: 'spent', gauges: [quota], now: 100 }),
    );
    expect(fieldsOf(forwarded(decision))).toMatchObject({
      'ratelimit-policy': '"quota";q=5',
      ratelimit: '"quota";r=40;t=43200',
    });
  });
});
