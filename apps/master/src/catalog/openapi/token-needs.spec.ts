import { describe, expect, it } from 'vitest';
import { importOpenApi, type ImportOverrides } from './import-openapi.js';

const securitySchemes = {
  oauth: { type: 'oauth2', flows: { clientCredentials: { tokenUrl: 'https://a', scopes: { read: '', write: '' } } } },
  oidc: { type: 'openIdConnect', openIdConnectUrl: 'https://a' },
  bearer: { type: 'http', scheme: 'Bearer', bearerFormat: 'JWT' },
  key: { type: 'apiKey', in: 'header', name: 'X-Key' },
  basic: { type: 'http', scheme: 'basic' },
};
const imported = (operations: Record<string, unknown>, overrides: ImportOverrides = {}, more: object = {}) =>
  importOpenApi(
    {
      openapi: '3.1.0',
      info: { title: 'Weather', version: '1' },
      servers: [{ url: 'https://up.example.com' }],
      paths: Object.fromEntries(
        Object.entries(operations).map(([path, security]) => [path, { get: { responses: {}, security } }]),
      ),
      components: { securitySchemes },
      ...more,
    },
    { plans: ['gold'], ...overrides },
  );
const routesOf = (...args: Parameters<typeof imported>): string[] =>
  imported(...args).definition.routes.map(({ path, security, scopes }) =>
    [path, security, ...(scopes ?? [])].join(' '),
  );
const warningsOf = (...args: Parameters<typeof imported>): string[] =>
  imported(...args)
    .report.warnings.map(({ what }) => what)
    .filter((what) => what !== 'API keys in the document');
const honourTokens = true;

describe('tokens that a document asks for', () => {
  it('are told of, and make no difference to routes unless the publisher wants that', () => {
    const operations = { '/a': [{ oauth: ['read'] }], '/b': [{ key: [] }] };
    expect(routesOf(operations)).toEqual(['/a ', '/b ']);
    expect(warningsOf(operations)).toEqual(['operations that ask for tokens']);
    expect(warningsOf(operations, { honourTokens })).toEqual([]);
    expect(routesOf(operations, { honourTokens, security: 'open' })).toEqual(['/a ', '/b ']);
  });

  it('are taken by the routes, with the scopes that have to be in them', () => {
    const operations = {
      '/a': [{ oauth: ['read', 'write'] }],
      '/b': [{ oidc: ['openid'] }],
      '/c': [{ bearer: [] }],
      '/d': [{ bearer: ['a role'] }],
      '/e': [{ key: [] }],
      '/f': [{ basic: [] }],
      '/g': [],
      '/h': [{ nobody: ['read'] }],
    };
    expect(routesOf(operations, { honourTokens })).toEqual([
      '/a jwt read write',
      '/b jwt openid',
      '/c jwt',
      '/d jwt',
      '/e ',
      '/f ',
      '/g ',
      '/h ',
    ]);
    const { used, notUsed } = imported(operations, { honourTokens }).report;
    expect(used).toContainEqual({ where: 'security', as: 'routes[].security and scopes', count: 4 });
    expect(notUsed.find(({ what }) => what === 'security requirements')?.where).toEqual([
      'paths./e.get.security[0]',
      'paths./f.get.security[0]',
      'paths./h.get.security[0]',
    ]);
  });

  it('never make a route ask for less than the document does', () => {
    const operations = {
      '/a': [{ oauth: ['read'] }, { oauth: ['write'] }],
      '/b': [{ key: [] }, { oauth: [] }],
      '/c': [{ key: [] }, { oauth: ['read'] }],
      '/d': [{ oauth: ['read'], key: [] }],
      '/e': [{ oauth: ['read'], oidc: ['openid'] }],
      '/f': [{ oauth: ['read'] }, { basic: [] }],
    };
    expect(routesOf(operations, { honourTokens })).toEqual([
      '/a jwt read',
      '/b key-or-jwt',
      '/c key-or-jwt read',
      '/d jwt read',
      '/e jwt read openid',
      '/f jwt read',
    ]);
    expect(imported(operations, { honourTokens }).report.warnings.map(({ what, where }) => [what, ...where])).toEqual([
      ['alternatives with other scopes', 'paths./a.get', 'paths./c.get'],
      ['tokens together with something else', 'paths./d.get'],
      ['API keys in the document', 'components.securitySchemes.key (header X-Key)'],
    ]);
  });

  it('are what all operations of a route need together, and none of an open one', () => {
    const shared = {
      '/a/{x}': [{ oauth: ['read'] }],
      '/a/{x}.json': [{ oauth: ['write'] }],
      '/b/{x}': [{ key: [] }],
      '/b/{x}.json': [{ oauth: ['write'] }],
      '/c': [{}, { oauth: ['read'] }],
    };
    expect(routesOf(shared, { honourTokens, honourOpenOperations: true })).toEqual([
      '/a/{x} jwt read write',
      '/b/{x} key-or-jwt write',
      '/c open',
    ]);
    expect(routesOf(shared, { honourTokens })).toContain('/c ');
  });

  it('are asked for by the document as a whole, where an operation says nothing', () => {
    expect(routesOf({ '/a': undefined, '/b': [] }, { honourTokens }, { security: [{ oauth: ['read'] }] })).toEqual([
      '/a jwt read',
      '/b ',
    ]);
  });

  it('with a scope that no token could have are refused', () => {
    expect(() => imported({ '/a': [{ oauth: ['two words'] }] }, { honourTokens })).toThrow(/not valid/);
  });
});
