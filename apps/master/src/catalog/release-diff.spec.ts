import { describe, expect, it } from 'vitest';
import type { Definition } from '#model';
import { diffDefinitions } from './release-diff.js';

const base: Definition = {
  name: 'weather',
  version: 'v1',
  context: '/weather/v1',
  routes: [
    { method: 'GET', path: '/today' },
    { method: 'GET', path: '/cities/{id}', security: 'open' },
  ],
  upstream: { targets: [{ url: 'http://a:1' }, { url: 'http://b:1', weight: 3 }] },
  security: 'key',
  plans: ['bronze', 'gold'],
};
const diff = (change: Partial<Definition>) => diffDefinitions(base, { ...base, ...change });
const nothing = { routes: { added: [], removed: [], changed: [] }, fields: [], truncated: false };

describe('the difference of two definitions', () => {
  it('is nothing for equal ones, whatever the order of their routes and fields', () => {
    expect(diff({})).toEqual(nothing);
    expect(diff({ routes: [...base.routes].reverse() })).toEqual(nothing);
    expect(diff({ upstream: { targets: [{ url: 'http://a:1' }, { weight: 3, url: 'http://b:1' }] } })).toEqual(nothing);
  });

  it('names routes that came, went and changed', () => {
    const { routes } = diff({
      routes: [
        { method: 'GET', path: '/cities/{city}', security: 'key' },
        { method: 'POST', path: '/today' },
      ],
    });
    expect(routes.added).toEqual([{ method: 'POST', path: '/today' }]);
    expect(routes.removed).toEqual([{ method: 'GET', path: '/today' }]);
    expect(routes.changed).toEqual([
      {
        method: 'GET',
        path: '/cities/{city}',
        changes: [
          { pointer: '/path', from: '/cities/{id}', to: '/cities/{city}' },
          { pointer: '/security', from: 'open', to: 'key' },
        ],
      },
    ]);
  });

  it('points at the other fields as deep as they differ, and leaves out what is missing', () => {
    const headers = { requestHeaders: { set: { 'x/y~z': '1' } } };
    const { fields } = diff({ upstream: { targets: [{ url: 'http://c:1' }] }, plans: ['bronze'], policies: headers });
    expect(fields).toEqual([
      { pointer: '/upstream/targets/0/url', from: 'http://a:1', to: 'http://c:1' },
      { pointer: '/upstream/targets/1', from: { url: 'http://b:1', weight: 3 } },
      { pointer: '/plans/1', from: 'gold' },
      { pointer: '/policies', to: headers },
    ]);
    const other = { requestHeaders: { set: { 'x/y~z': '2' } } };
    expect(diffDefinitions({ ...base, policies: headers }, { ...base, policies: other }).fields).toEqual([
      { pointer: '/policies/requestHeaders/set/x~1y~0z', from: '1', to: '2' },
    ]);
  });

  it('is bounded in number, and says when it is cut', () => {
    const many = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, n) => ({ method: 'GET' as const, path: `/${prefix}${n}` }));
    const whole = diffDefinitions({ ...base, routes: many('a', 500) }, { ...base, routes: many('b', 500) });
    expect([whole.routes.added.length, whole.routes.removed.length, whole.truncated]).toEqual([500, 500, false]);
    const cut = diffDefinitions({ ...base, routes: many('a', 3000) }, { ...base, routes: many('b', 3000) });
    expect([cut.routes.added.length + cut.routes.removed.length, cut.truncated]).toEqual([1000, true]);
  });

  it('is bounded in size: large values are left out', () => {
    const mock = (body: string) => ({ mock: { status: 200, body } });
    const { fields } = diffDefinitions(
      { ...base, policies: mock('a'.repeat(60_000)) },
      { ...base, policies: mock('b') },
    );
    expect(fields).toEqual([{ pointer: '/policies/mock/body', large: true }]);
  });
});
