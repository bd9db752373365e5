import { describe, expect, it } from 'vitest';
import { type Definition, HelioError } from '#model';
import { canonicalJson } from '#platform';
import { importOpenApi, type ImportOverrides } from './import-openapi.js';
import { importReport } from './import-report.js';

const OP = { responses: {} };

function doc(more: object = {}): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: { title: 'Weather', version: '2.3.4' },
    servers: [{ url: 'https://up.example.com' }],
    paths: { '/today': { get: OP } },
    ...more,
  };
}

function routesOf(paths: object, overrides: ImportOverrides = {}, more: object = {}): string[] {
  return importOpenApi(doc({ paths, ...more }), overrides).definition.routes.map(
    ({ method, path, security }) => `${method} ${path}${security ? ` ${security}` : ''}`,
  );
}

function errorOf(document: string | Uint8Array | object, overrides: ImportOverrides = {}): HelioError {
  try {
    importOpenApi(document, overrides);
  } catch (error) {
    if (error instanceof HelioError) return error;
    throw error;
  }
  throw new Error('the document was accepted');
}

function noted(notes: { what: string; count: number }[]): Record<string, number> {
  return Object.fromEntries(notes.map(({ what, count }) => [what, count]));
}

describe('the definition of a document', () => {
  it('has everything that the document says about routing, and a key for every route', () => {
    const { definition, report } = importOpenApi(
      doc({ paths: { '/cities/{id}': { get: { ...OP, operationId: 'city' } } } }),
    );
    expect(definition).toEqual({
      name: 'weather',
      version: 'v2',
      context: '/weather/v2',
      routes: [{ method: 'GET', path: '/cities/{id}', id: 'city' }],
      upstream: { targets: [{ url: 'https://up.example.com' }] },
      security: 'key',
      plans: [],
    } satisfies Definition);
    expect(report.used.map(({ as, count }) => [as, count])).toEqual([
      ['name', 1],
      ['version', 1],
      ['upstream.targets[0].url', 1],
      ['routes', 1],
      ['routes[].id', 1],
    ]);
  });

  it('takes what comes beside the document first, and says what of the document that replaced', () => {
    const upstream = { targets: [{ url: 'http://10.0.0.1:8080' }], retries: 2 };
    const overrides: ImportOverrides = {
      name: 'w',
      version: 'v9',
      context: '/w',
      security: 'open',
      plans: ['gold'],
      upstream,
      policies: { maxBodyBytes: 5 },
    };
    const { definition, report } = importOpenApi(doc(), overrides);
    expect(definition).toMatchObject(overrides);
    expect(report.notUsed.find(({ what }) => what === 'fields that the request gives itself')?.where).toEqual([
      'info.title',
      'info.version',
      'servers',
    ]);
    expect(report.warnings).toEqual([]);
  });

  it('is the same for JSON, YAML, bytes and an object, and whatever the order of its paths', () => {
    const paths = { '/b/{x}': { post: OP, get: OP }, '/a': { put: OP }, '/b/{y}': { get: { operationId: 'y' } } };
    const backwards = Object.fromEntries(Object.entries(paths).reverse());
    const text = JSON.stringify(doc({ paths }));
    const yaml = `openapi: 3.1.0\ninfo: {title: Weather, version: 2.3.4}\nservers:\n- url: https://up.example.com\npaths: ${JSON.stringify(backwards)}\n`;
    const all = [doc({ paths }), doc({ paths: backwards }), text, `\uFEFF ${text}`, Buffer.from(yaml), yaml];
    expect(new Set(all.map((each) => canonicalJson(importOpenApi(each).definition))).size).toBe(1);
    expect(routesOf(paths)).toEqual(['PUT /a', 'GET /b/{x}', 'POST /b/{x}']);
  });

  it('has a route for each of the eight methods of OpenAPI, and none for other fields', () => {
    const item = {
      get: OP,
      put: OP,
      post: OP,
      delete: OP,
      options: OP,
      head: OP,
      patch: OP,
      trace: OP,
      parameters: [],
      'x-get': OP,
      summary: 's',
      query: OP,
    };
    expect(routesOf({ '/a': item, 'x-internal': { get: OP } }).map((route) => route.split(' ')[0])).toEqual([
      'DELETE',
      'GET',
      'HEAD',
      'OPTIONS',
      'PATCH',
      'POST',
      'PUT',
      'TRACE',
    ]);
    expect(noted(importOpenApi(doc({ paths: { '/a': item, 'x-internal': {} } })).report.notUsed)).toEqual({
      extensions: 2,
      'texts and contacts': 1,
      'other fields': 1,
    });
  });

  it('has one route for operations that a template cannot tell apart, and names them all', () => {
    const paths = {
      '/files/{name}.{ext}': { get: { operationId: 'b' }, delete: OP },
      '/files/{name}': { get: { operationId: 'a' } },
      '/files/{id}:run': { post: OP },
    };
    const { definition, report } = importOpenApi(doc({ paths }));
    expect(definition.routes).toEqual([
      { method: 'POST', path: '/files/{id:run}' },
      { method: 'GET', path: '/files/{name}', id: 'a' },
      { method: 'DELETE', path: '/files/{name.ext}' },
    ]);
    expect(report).toMatchObject({ operations: 4, routes: 3 });
    expect(report.widened).toMatchObject({
      count: 2,
      first: [{ where: 'paths./files/{id}:run', path: '/files/{id:run}' }, { path: '/files/{name.ext}' }],
    });
    expect(report.merged).toEqual({
      count: 1,
      first: [{ where: 'paths./files/{name}.{ext}.get', into: 'paths./files/{name}.get', route: 'GET /files/{name}' }],
    });
  });

  it('leaves out operationIds that no id can be, and says which come twice', () => {
    const paths = {
      '/a': {
        get: { operationId: 'x' },
        put: { operationId: 'x' },
        post: { operationId: 'y'.repeat(257) },
        patch: { operationId: 7 },
      },
    };
    const { definition, report } = importOpenApi(doc({ paths }), { plans: ['gold'] });
    expect(definition.routes.map(({ id }) => id)).toEqual(['x', undefined, undefined, 'x']);
    expect(noted(report.warnings)).toEqual({ 'operationIds that come again': 1, 'operationIds that are not used': 2 });
  });
});

describe('security of a document', () => {
  const security = [{ token: [] }];
  const paths = {
    '/a': { get: { security: [] } },
    '/b': { get: { security: [{ token: [] }, {}] } },
    '/c': { get: OP },
    '/d': { get: { security: {} } },
  };

  it('opens nothing by default, but says what the document leaves open', () => {
    expect(routesOf(paths, {}, { security })).toEqual(['GET /a', 'GET /b', 'GET /c', 'GET /d']);
    const { warnings } = importOpenApi(doc({ paths, security })).report;
    expect(warnings.find(({ what }) => what === 'operations open in the document')).toMatchObject({
      count: 2,
      where: ['paths./a.get', 'paths./b.get'],
    });
    expect(noted(warnings)).toMatchObject({ 'security that is not a list': 1 });
  });

  it('opens what the document leaves open if the publisher wants that, and nothing that it says nothing about', () => {
    const honourOpenOperations = true;
    expect(routesOf(paths, { honourOpenOperations }, { security })).toEqual([
      'GET /a open',
      'GET /b open',
      'GET /c',
      'GET /d',
    ]);
    expect(routesOf({ '/a': { get: OP } }, { honourOpenOperations })).toEqual(['GET /a']);
    expect(routesOf({ '/a': { get: OP } }, { honourOpenOperations }, { security: [] })).toEqual(['GET /a open']);
  });

  it('does not open a route that an operation with security shares', () => {
    const shared = {
      '/a/{x}': { get: { security: [] } },
      '/a/{x}.json': { get: OP },
      '/b/{x}': { get: OP },
      '/b/{x}.json': { get: { security: [] } },
    };
    expect(routesOf(shared, { honourOpenOperations: true }, { security })).toEqual(['GET /a/{x}', 'GET /b/{x}']);
  });

  it('does not open a route that takes more than the document leaves open', () => {
    const widened = { '/f/{x}.js': { get: { security: [] } }, '/s?public=1': { get: { security: [] } } };
    const overrides: ImportOverrides = { honourOpenOperations: true, plans: ['gold'] };
    expect(routesOf(widened, overrides)).toEqual(['GET /f/{x.js}', 'GET /s']);
    expect(noted(importOpenApi(doc({ paths: widened }), overrides).report.warnings)).toEqual({
      'open operations of widened paths': 2,
    });
  });

  it('never changes where the gateway looks for keys, but says where the document has them', () => {
    const securitySchemes = {
      a: { type: 'apiKey', in: 'header', name: 'X-Old-Key' },
      b: { type: 'apiKey', in: 'cookie', name: 'sid' },
      c: { type: 'http', scheme: 'basic' },
    };
    const { definition, report } = importOpenApi(doc({ components: { securitySchemes } }));
    expect(definition.credential).toBeUndefined();
    expect(report.warnings).toContainEqual(
      expect.objectContaining({
        what: 'API keys in the document',
        where: ['components.securitySchemes.a (header X-Old-Key)'],
      }),
    );
    expect(noted(report.notUsed)).toEqual({ 'security schemes': 3 });
  });
});

describe('servers of a document', () => {
  const serversOf = (...servers: unknown[]) => importOpenApi(doc({ servers }), { plans: ['gold'] });

  it('are an upstream by the first one that can be, with the defaults of its variables', () => {
    const variables = { port: { default: '8443' }, base: { default: 'v2' } };
    const { definition, report } = serversOf(
      { url: '/v1' },
      { url: 'https://user:secret@x.example' },
      { url: 'https://X.example:{port}/{base}/', variables },
      { url: 'https://other.example' },
    );
    expect(definition.upstream).toEqual({ targets: [{ url: 'https://x.example:8443/v2' }] });
    expect(report.used).toContainEqual({ where: 'servers[2].url', as: 'upstream.targets[0].url', count: 1 });
    expect(noted(report.warnings)).toEqual({ 'servers that cannot be used': 2 });
    expect(noted(report.notUsed)).toEqual({ 'further servers': 1 });
    expect(JSON.stringify(report)).not.toContain('secret');
  });

  it.each([
    [undefined, 'names no server'],
    [[], 'names no server'],
    [{ url: 'https://x.example' }, 'is an object'],
    [[{ url: '/v1' }], '"/v1"'],
    [[{ url: '//x.example/v1' }], '"//x.example/v1"'],
    [[{ url: 'ftp://me:secret@x.example' }], '"ftp://...@x.example"'],
    [[{ url: 'https://{host}/v1' }], 'variables without a default: {host}'],
    [[{ url: 'https://{toString}/v1', variables: {} }], 'variables without a default'],
    [[{ url: 'https://x.example/?a=1' }], 'has a query'],
    [[{}], 'is missing'],
    [[null], 'is missing'],
  ])('cannot be an upstream as %j', (servers, problem) => {
    const { code, fields } = errorOf(doc({ servers }));
    expect(code).toBe('openapi_invalid');
    expect(fields).toHaveLength(1);
    expect(fields[0]?.problem).toContain(problem);
    expect(fields[0]?.expected).toContain('`upstream`');
    expect(
      importOpenApi(doc({ servers }), { upstream: { targets: [{ url: 'https://y.example' }] } }).report.routes,
    ).toBe(1);
  });
});

describe('name and version', () => {
  const named = (title: unknown, version: unknown) => {
    const { definition } = importOpenApi(doc({ info: { title, version } }));
    return `${definition.name}:${definition.version} ${definition.context}`;
  };

  it.each([
    ["GitHub's  Ünïcode API!", '1.0.0', 'githubs-unicode-api:v1'],
    ['x', 'v3', 'x:v3'],
    ['x', 2.1, 'x:v2'],
    ['x', '0.9', 'x:v0'],
    ['x', '2024-05-01', 'x:v2024'],
    ['x', 'v2beta1', 'x:v2beta1'],
    ['x', 'Latest (stable)', 'x:latest-stable'],
    ['-'.repeat(99) + 'y'.repeat(99), '1', `${'y'.repeat(64)}:v1`],
  ])('of %j %j are %s', (title, version, expected) => {
    expect(named(title, version)).toBe(`${expected} /${expected.replace(':', '/')}`);
  });

  it('have to come with the request if the document has none that could be used', () => {
    const { fields } = errorOf(doc({ info: { title: '天気' } }));
    expect(fields.map(({ field }) => field)).toEqual(['info.title', 'info.version']);
    expect(importOpenApi(doc({ info: { title: '天気' } }), { name: 'tenki', version: 'v1' }).report.title).toBe('天気');
  });
});

describe('path items by reference', () => {
  it('are followed inside of the document, with what stands beside the reference first', () => {
    const pathItems = {
      A: { $ref: '#/components/pathItems/B%7E', post: { operationId: 'mine' } },
      'B~': { get: OP, post: { operationId: 'other' } },
      C: { get: OP },
    };
    pathItems.A.$ref = '#/components/pathItems/B~0';
    const { definition, report } = importOpenApi(
      doc({
        paths: { '/a/b': { $ref: '#/components/pathItems/A' }, '/c': { $ref: '#/paths/~1a~1b' } },
        components: { pathItems },
      }),
    );
    expect(definition.routes.map(({ method, path, id }) => [method, path, id])).toEqual([
      ['GET', '/a/b', undefined],
      ['POST', '/a/b', 'mine'],
      ['GET', '/c', undefined],
      ['POST', '/c', 'mine'],
    ]);
    expect(noted(report.warnings)).toMatchObject({ 'fields beside a $ref': 2 });
    expect(report.notUsed).toContainEqual(
      expect.objectContaining({ what: 'unused path items', where: ['components.pathItems.C'] }),
    );
  });

  it.each([
    ['https://example.com/paths.json#/a', 'inside of the document'],
    ['other.yaml', 'inside of the document'],
    [7, 'inside of the document'],
    ['#/paths/~1nowhere', 'does not have'],
    ['#/constructor', 'does not have'],
    ['#/paths/~1a', 'circle'],
    ['#/info/title', 'text "Weather"'],
    ['#/paths/%zz', 'does not have'],
  ])('are refused as %j, because operations would be lost', ($ref, problem) => {
    const { fields } = errorOf(doc({ paths: { '/a': { $ref }, '/b': { get: OP } } }));
    expect(fields).toHaveLength(1);
    expect(`${fields[0]?.field} ${fields[0]?.problem} ${fields[0]?.expected}`).toContain(problem);
    expect(fields[0]?.field).toMatch(/^paths\.\/a/);
  });
});

describe('the report', () => {
  it('counts what has no effect, where it is written', () => {
    const media = {
      schema: {},
      example: 1,
      examples: { a: {}, b: { $ref: 'https://example.com/x.json' } },
      encoding: { f: {} },
    };
    const operation = {
      tags: ['a', 'b'],
      summary: 's',
      externalDocs: {},
      parameters: [{ name: 'q', in: 'query', schema: {} }, { $ref: '#/components/parameters/p' }, { $ref: 'p.json' }],
      requestBody: { content: { 'application/json': media } },
      responses: {
        200: {
          description: 'd',
          headers: { 'x-limit': { schema: {} } },
          content: { 'text/plain': {} },
          links: { next: {} },
        },
        default: {},
        'x-y': 1,
      },
      callbacks: { done: { '{$request.body#/url}': { post: OP } } },
      deprecated: true,
      security: [{ oauth: ['read', 'write'] }, {}],
      servers: [{ url: 'https://b.example' }],
    };
    const more = {
      paths: {
        '/a': { parameters: [{ $ref: '#/components/parameters/p' }], servers: [{ url: '/' }], post: operation },
      },
      components: {
        parameters: { p: { name: 'p', in: 'query' } },
        schemas: { A: { properties: { a: {} } }, B: {} },
        securitySchemes: { oauth: { type: 'oauth2', flows: { implicit: { scopes: { read: 'r', write: 'w' } } } } },
      },
      webhooks: { ping: { post: OP } },
      tags: [{ name: 'a' }],
      'x-root': true,
      unheard: 1,
    };
    expect(noted(importOpenApi(doc(more)).report.notUsed)).toEqual({
      'servers of paths and operations': 2,
      'security requirements': 1,
      'security schemes': 1,
      'OAuth flows': 1,
      'security scopes': 4,
      webhooks: 1,
      callbacks: 1,
      parameters: 5,
      'request bodies': 1,
      responses: 2,
      headers: 1,
      schemas: 5,
      encodings: 1,
      examples: 3,
      links: 1,
      tags: 3,
      'deprecation marks': 1,
      'texts and contacts': 3,
      extensions: 2,
      'remote references': 1,
      'other fields': 1,
    });
  });

  it('stays small for 5000 operations that are all widened, and for places of any length', () => {
    const paths: Record<string, unknown> = {};
    for (let i = 0; i < 5000; i += 1)
      paths[`/${'long'.repeat(100)}${i}/{a}.{b}`] = { get: { 'x-a': 1, tags: ['t'], summary: 's' } };
    const { report } = importOpenApi(doc({ paths, info: { title: 'T'.repeat(10_000), version: '1' } }));
    expect(importReport.parse(report)).toEqual(report);
    expect(report.widened.count).toBe(5000);
    expect(JSON.stringify(report).length).toBeLessThan(100_000);
  });
});
