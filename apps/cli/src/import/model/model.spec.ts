import { describe, expect, it } from 'vitest';
import { Notes } from '../source/notes.js';
import { Part } from '../source/part.js';
import { limitsOf, Plans } from './limits.js';
import { ApiNames, Names } from './names.js';
import { prefixPath, regexPath, versionIn } from './paths.js';

const at = Part.root(new Notes('file'), {});

describe('limits', () => {
  it.each([
    [
      { limit: 5, seconds: 1 },
      { rate: { limit: 5, per: 'second' }, quota: null },
    ],
    [
      { limit: 10, seconds: 30 },
      { rate: { limit: 20, per: 'minute', burst: 10 }, quota: null },
    ],
    [
      { limit: 10, seconds: 900 },
      { rate: { limit: 40, per: 'hour', burst: 10 }, quota: null },
    ],
    [
      { limit: 7, seconds: 7200 },
      { rate: { limit: 3, per: 'hour', burst: 7 }, quota: null },
    ],
    [
      { limit: 1000, seconds: 86_400 },
      { rate: null, quota: { limit: 1000, per: 'day' } },
    ],
    [
      { limit: 1000, seconds: 2_592_000 },
      { rate: null, quota: { limit: 1000, per: 'month' } },
    ],
    [
      { limit: 1000, seconds: 604_800 },
      { rate: null, quota: null },
    ],
    [
      { limit: 0, seconds: 60 },
      { rate: null, quota: null },
    ],
    [
      { limit: 5, seconds: -1 },
      { rate: null, quota: null },
    ],
    [
      { limit: 1e300, seconds: 1 },
      { rate: null, quota: null },
    ],
  ])('%j become %j', (window, limits) => {
    expect(limitsOf([{ ...window, at }])).toEqual(limits);
  });

  it('share a plan where they are the same, unless they have names', () => {
    const plans = new Plans();
    const limits = limitsOf([{ limit: 5, seconds: 1, at }]);
    expect([plans.of(limits), plans.of(limits), plans.of(limits, 'Gold!'), plans.of(limits, 'gold')]).toEqual([
      'rate-5-second',
      'rate-5-second',
      'gold',
      'gold-2',
    ]);
  });
});

describe('names', () => {
  it('are slugs, none of them twice, and never too long', () => {
    const names = new Names(8, true);
    expect(
      ['Ärger & Co', 'arger-co', '42', '日本', 'abcdefghijk', 'abcdefghxyz'].map((one) => names.take(one, 'plan')),
    ).toEqual(['arger-co', 'arger--2', 'plan', 'plan-2', 'abcdefgh', 'abcdef-2']);
  });

  it('of APIs are shared by their versions', () => {
    const names = new ApiNames();
    expect([names.take('orders-v1', 'v1'), names.take('Orders v2', 'v2'), names.take('orders', 'v2')]).toEqual([
      'orders',
      'orders',
      'orders-2',
    ]);
  });
});

describe('paths', () => {
  it.each([
    ['/users$', { segments: ['users'], prefix: false, wider: false }],
    ['^/users', { segments: ['users'], prefix: true, wider: false }],
    ['/users/(?<id>[^#?/]+)$', { segments: ['users', '{id}'], prefix: false, wider: false }],
    ['/users/(?<id>[^\\/]+)/x$', { segments: ['users', '{id}', 'x'], prefix: false, wider: false }],
    ['/users/(?P<id>\\d+)$', { segments: ['users', '{id}'], prefix: false, wider: true }],
    ['/v1\\.0/([a-z]+)$', { segments: ['v1.0', '{part2}'], prefix: false, wider: true }],
  ])('the regular expression %s is a template', (pattern, path) => {
    expect(regexPath(pattern)).toEqual(path);
  });

  it.each([
    '/users/.*',
    '/(a|b)$',
    '/users/(?<id>[^?]+)$',
    '/users/([a-z/]+)$',
    '/a.b',
    '/users?',
    '/x/(?<id>.+)$',
    'users',
    '/a//b',
    '/[^/]+',
  ])('the regular expression %s is none', (pattern) => {
    expect(regexPath(pattern)).toBeNull();
  });

  it('that are plain end in nothing', () => {
    expect(prefixPath('/a/b/')).toEqual({ segments: ['a', 'b'], prefix: true, wider: false });
    expect(prefixPath('/a b')).toBeNull();
    expect(prefixPath('a')).toBeNull();
    expect(versionIn(['orders', 'v2.1'])).toBe('v2.1');
    expect(versionIn(['orders'])).toBeNull();
  });
});
