import { describe, expect, it } from 'vitest';
import { faultsOf } from '#platform';
import {
  definition,
  isWellFormedClientSecret,
  isWellFormedKey,
  newClientSecret,
  newKeySecret,
  parseTemplate,
  placementKey,
  splitPlacementKey,
} from './index.js';

const weather = {
  name: 'weather',
  version: 'v1',
  context: '/weather/v1',
  routes: [{ method: 'GET', path: '/today/{city}' }],
  upstream: { targets: [{ url: 'http://127.0.0.1:9000' }] },
  security: 'key',
  plans: ['gold'],
};

function faultsIn(value: unknown): string[] {
  const { error } = definition.safeParse(value);
  return error ? faultsOf(error).map((fault) => `${fault.field}: ${fault.problem}`) : [];
}

describe('definition', () => {
  it('takes a small one', () => {
    expect(faultsIn(weather)).toEqual([]);
  });

  it('takes a plan for open routes only where there are some', () => {
    expect(faultsIn({ ...weather, openPlan: 'guests' })).toEqual(['openPlan: limits open routes, and there is none']);
    const routes = [...weather.routes, { method: 'GET', path: '/open', security: 'open' }];
    expect(faultsIn({ ...weather, routes, openPlan: 'guests' })).toEqual([]);
    expect(faultsIn({ ...weather, security: 'open', openPlan: 'guests' })).toEqual([]);
  });

  it('takes one with every policy and setting', () => {
    const policies = {
      requestHeaders: { set: { 'X-A': '1' }, add: { 'X-B': '2', 'x-b': '3' }, remove: ['Cookie'] },
      responseHeaders: { set: { 'X-A': '1' }, remove: ['Server'] },
      rewrite: { prefix: '/old', with: '' },
      cors: {
        origins: ['https://app.example.com'],
        exposeHeaders: ['Content-Length'],
        credentials: true,
        maxAgeSeconds: 9,
      },
      maxBodyBytes: 0,
      ip: { allow: ['10.0.0.0/8', '::ffff:0:0/96'], deny: ['2001:db8::1'] },
      mock: { status: 204 },
      cache: { ttlSeconds: 0 },
    };
    const whole = {
      ...weather,
      routes: [
        { method: '*', path: '/*', id: 'all', security: 'open', policies },
        { method: 'GET', path: '/a', security: 'key-or-jwt', scopes: ['weather:read', 'a/b'] },
      ],
      scopes: ['weather:write'],
      upstream: {
        targets: [{ url: 'http://a:1/base', weight: 3 }],
        regions: { 'eu-west': { targets: [{ url: 'https://b' }] } },
        connectTimeoutMs: 1,
        responseTimeoutMs: 600_000,
        retries: 0,
      },
      credential: { header: 'X-Our-Key', query: 'key', forward: true },
      policies,
      encodedSlashes: 'pass',
      maxStaleness: { seconds: 1, past: 'refuse' },
    };
    expect(faultsIn(whole)).toEqual([]);
  });

  it.each([
    ['an unknown field', { ...weather, upstrem: {} }, /upstrem: is not a known field/],
    [
      'a path without a slash',
      { ...weather, routes: [{ method: 'GET', path: 'today' }] },
      /routes\[0\].path: the path must begin with \//,
    ],
    [
      'the same route twice',
      { ...weather, routes: [...weather.routes, { method: 'GET', path: '/today/{town}' }] },
      /routes\[1\].path: is the same route as routes\[0\]/,
    ],
    ['a context that is not a path', { ...weather, context: 'weather' }, /context: a context is/],
    [
      'a target with credentials',
      { ...weather, upstream: { targets: [{ url: 'http://u:p@host' }] } },
      /must be an http\(s\) URL without credentials/,
    ],
    ['no target', { ...weather, upstream: { targets: [] } }, /must have at least one target/],
    [
      'a header that frames messages',
      { ...weather, policies: { requestHeaders: { set: { 'Content-Length': '1' } } } },
      /Content-Length: the name must not be a header that frames/,
    ],
    [
      'a request header that only the gateway may send',
      { ...weather, policies: { requestHeaders: { add: { expect: '100-continue' } } } },
      /requestHeaders.add.expect: the name must not be Expect/,
    ],
    [
      'a second request id in answers',
      { ...weather, policies: { responseHeaders: { set: { 'X-Request-ID': 'a' } } } },
      /X-Request-ID: the name must not be X-Request-Id/,
    ],
    [
      'a second request id in a mock of one route',
      {
        ...weather,
        routes: [{ ...weather.routes[0], policies: { mock: { status: 200, headers: { 'x-request-id': 'a' } } } }],
      },
      /x-request-id: the name must not be X-Request-Id/,
    ],
    [
      'a line break in a header',
      { ...weather, policies: { responseHeaders: { add: { 'X-A': 'a\r\nb' } } } },
      /without line breaks/,
    ],
    [
      'a CIDR of 33 bits',
      { ...weather, policies: { ip: { allow: ['10.0.0.0/33'] } } },
      /must be an IP address or a CIDR block/,
    ],
    [
      'an address with a zone',
      { ...weather, policies: { ip: { deny: ['fe80::1%eth0'] } } },
      /must be an IP address or a CIDR block/,
    ],
    [
      'one header that is set twice',
      { ...weather, policies: { requestHeaders: { set: { 'X-A': '1', 'x-a': '2' } } } },
      /requestHeaders.set.x-a: is the same header as X-A; name it once/,
    ],
    [
      "a rewrite that leaves the upstream's path",
      { ...weather, policies: { rewrite: { prefix: '/a', with: '/%2E./b' } } },
      /rewrite.with: must not have a \. or \.\. segment/,
    ],
    [
      'a rewrite of what no request can have',
      { ...weather, policies: { rewrite: { prefix: '//a b', with: '/' } } },
      /rewrite.prefix: must be a path; percent-encode[^]*rewrite.prefix: must not have an empty segment/,
    ],
    [
      'a rewrite prefix that is no path',
      { ...weather, policies: { rewrite: { prefix: 'a', with: '/' } } },
      /rewrite.prefix: must begin with \//,
    ],
    [
      'a mock with a body that its status cannot have',
      { ...weather, policies: { mock: { status: 204, body: 'x' } } },
      /mock.body: must be left out/,
    ],
    ['a cache without a time', { ...weather, policies: { cache: {} } }, /cache.ttlSeconds: /],
    [
      'a cache for more than a year',
      { ...weather, policies: { cache: { ttlSeconds: 31_536_001 } } },
      /cache.ttlSeconds: /,
    ],
    ['another word for security', { ...weather, security: 'oauth' }, /security: must be key, jwt, key-or-jwt or open/],
    ['a scope of two words', { ...weather, scopes: ['read write'] }, /scopes\[0\]: a scope is printable ASCII/],
    ['a scope twice', { ...weather, scopes: ['read', 'read'] }, /scopes: names a scope twice/],
    [
      'scopes of an API that asks nobody',
      { ...weather, security: 'open', scopes: ['a'] },
      /^scopes: must be left out/m,
    ],
    [
      'scopes of an open route',
      { ...weather, routes: [{ method: 'GET', path: '/a', security: 'open', scopes: ['a'] }] },
      /routes\[0\].scopes: must be left out/,
    ],
    [
      'another word for encoded slashes',
      { ...weather, encodedSlashes: 'allow' },
      /encodedSlashes: must be refuse or pass/,
    ],
    [
      'credentials for any origin',
      { ...weather, policies: { cors: { origins: ['*'], credentials: true } } },
      /must name origins/,
    ],
  ])('refuses %s', (_, value, message) => {
    expect(faultsIn(value).join('\n')).toMatch(message);
  });
});

describe('path templates', () => {
  it.each(['/', '/a', '/a/', '/a/{b}/c', '/a/*', '/a%20b'])('takes %s', (template) => {
    expect(parseTemplate(template).ok).toBe(true);
  });
  it.each(['', 'a', '/*/a', '/a{b}', '/../a', '/a b', '/a//b', '/a%2', '/{a', '/a?b'])('refuses %s', (template) => {
    expect(parseTemplate(template).ok).toBe(false);
  });
});

describe('keys', () => {
  it('have the checksums that docs/keys.md tells scanners', () => {
    const bytes = Buffer.from('000102030405060708090a0b0c0d0e0f10111213', 'hex');
    expect(newKeySecret(() => Buffer.alloc(20))).toBe('hg_live_000000000000000000000000000_H6bA7T');
    expect(newKeySecret(() => Buffer.alloc(20, 0xff))).toBe('hg_live_aWgEPTl1tmebfsQzFP4bxwgy80V_YFHjln');
    expect(newKeySecret(() => bytes)).toBe('hg_live_0029sS3yqsuDyR1vGFhTuuRAq1b_edGVXV');
  });

  it('have a checksum that a scanner can check, and no other text passes for one', () => {
    const key = newKeySecret();
    expect(key).toMatch(/^hg_live_[0-9A-Za-z]{27}_[0-9A-Za-z]{6}$/);
    expect(isWellFormedKey(key)).toBe(true);
    const last = key.at(-1) === 'a' ? 'b' : 'a';
    expect(isWellFormedKey(key.slice(0, -1) + last)).toBe(false);
  });

  it('differ', () => {
    expect(new Set(Array.from({ length: 1000 }, () => newKeySecret())).size).toBe(1000);
  });

  it('and secrets of clients are told from each other, with checksums that never change', () => {
    const zeros = (size: number): Buffer => Buffer.alloc(size);
    const [key, secret] = [newKeySecret(zeros), newClientSecret(zeros)];
    expect([key, secret]).toEqual([
      'hg_live_000000000000000000000000000_H6bA7T',
      'hg_secret_000000000000000000000000000_CVPxyx',
    ]);
    expect([isWellFormedKey(key), isWellFormedClientSecret(secret)]).toEqual([true, true]);
    expect([isWellFormedKey(secret), isWellFormedClientSecret(key)]).toEqual([false, false]);
    expect(isWellFormedClientSecret(newClientSecret())).toBe(true);
  });
});

describe('placement keys', () => {
  it('are split where they were joined', () => {
    expect(splitPlacementKey(placementKey('weather:v1', '*'))).toEqual({ api: 'weather:v1', region: '*' });
    expect(splitPlacementKey(Buffer.from('weather:v1'))).toBeNull();
  });
});
