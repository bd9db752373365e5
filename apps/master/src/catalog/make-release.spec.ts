import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { HelioError } from '#model';
import { canonicalJson } from '#platform';
import { makeRelease } from './make-release.js';

const identity = { name: 'weather', version: 'v1', context: '/weather/v1' };
const api = { id: 'weather:v1', ...identity };
const rest = {
  routes: [{ method: 'GET', path: '/today' }],
  upstream: { targets: [{ url: 'http://weather:8080' }] },
  security: 'key',
  plans: [],
};
const openapi = {
  openapi: '3.0.3',
  info: { title: 'Something else', version: '9.0.0' },
  servers: [{ url: 'https://example.com' }],
  paths: { '/today': { get: { operationId: 'today', responses: {} } } },
};

const ofDefinition = (definition: Record<string, unknown>) =>
  makeRelease({ kind: 'definition', definition, at: 'definition.' }, api);

function faultsOf(work: () => unknown): { code: string; fields: string[] } {
  try {
    work();
  } catch (error) {
    if (error instanceof HelioError)
      return { code: error.code, fields: error.fields.map((fault) => `${fault.field}: ${fault.problem}`) };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('makeRelease', () => {
  it('takes name, version and context from the API, and names the result by its canonical JSON', () => {
    const short = ofDefinition(rest);
    const long = ofDefinition(Object.fromEntries(Object.entries({ ...rest, ...identity }).reverse()));
    expect(short.digest).toEqual(long.digest);
    expect(short.bytes.toString()).toBe(canonicalJson({ ...rest, ...identity }));
    expect(short.digest).toEqual(hash('sha256', short.bytes, 'buffer'));
  });

  it('refuses another name, version or context, each by its place', () => {
    expect(faultsOf(() => ofDefinition({ ...rest, name: 'climate', version: 'v1', context: null }))).toEqual({
      code: 'definition_invalid',
      fields: [
        'definition.name: is not that of the API "weather:v1"',
        'definition.context: is not that of the API "weather:v1"',
      ],
    });
  });

  it('refuses unknown fields and broken rules, each by its place', () => {
    const { code, fields } = faultsOf(() =>
      ofDefinition({
        ...rest,
        colour: 1,
        routes: [
          { method: 'get', path: '/a' },
          { method: 'GET', path: 'b', secured: true },
        ],
        plans: ['Gold'],
      }),
    );
    expect(code).toBe('definition_invalid');
    expect(new Set(fields.map((field) => field.split(':')[0]))).toEqual(
      new Set([
        'definition.colour',
        'definition.plans[0]',
        'definition.routes[0].method',
        'definition.routes[1].path',
        'definition.routes[1].secured',
      ]),
    );
  });

  it('refuses text that has no UTF-8, by its place', () => {
    const broken = {
      ...rest,
      routes: [
        { method: 'GET', path: '/a', id: 'ok' },
        { method: 'GET', path: '/b', id: '\ud800' },
      ],
    };
    expect(faultsOf(() => ofDefinition(broken)).fields).toEqual([
      'definition.routes[1].id: has half of a surrogate pair, which UTF-8 cannot hold',
    ]);
  });

  it('refuses what does not fit an entry of the chain', () => {
    const mock = { mock: { status: 200, body: 'x'.repeat(65_536) } };
    const routes = Array.from({ length: 260 }, (_, n) => ({ method: 'GET', path: `/${n}`, policies: mock }));
    expect(faultsOf(() => ofDefinition({ ...rest, routes })).fields[0]).toMatch(
      /^definition: has 17\d{6} bytes as canonical JSON/,
    );
  });

  it('gives an import the name of the API, and not that of the document', () => {
    const made = makeRelease(
      { kind: 'openapi', document: openapi, overrides: { plans: ['gold'] }, at: 'overrides.' },
      api,
    );
    expect(made.definition).toMatchObject({
      name: 'weather',
      version: 'v1',
      context: '/weather/v1',
      plans: ['gold'],
      routes: [{ path: '/today' }],
    });
    expect(made.report).toMatchObject({ openapi: '3.0.3', operations: 1, routes: 1 });
    expect(
      faultsOf(() =>
        makeRelease({ kind: 'openapi', document: openapi, overrides: { name: 'climate' }, at: 'overrides.' }, api),
      ),
    ).toEqual({
      code: 'definition_invalid',
      fields: ['overrides.name: is not that of the API "weather:v1"'],
    });
  });
});
