import { readFileSync } from 'node:fs';
import { definition } from '#model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Converted } from '../model/converted.js';
import { damaged, hostileValues } from '../../testing/hostile-values.js';
import { convertTyk } from './convert-tyk.js';

const FILES = ['tyk-classic.json', 'tyk-oas.json', 'tyk-policies.json'];
const read = (name: string): string =>
  readFileSync(new URL(`../../../../../docs/examples/moving/${name}`, import.meta.url), 'utf8');
const SOURCES = FILES.map((name) => ({ name, text: read(name) }));
const CLASSIC = JSON.parse(read('tyk-classic.json')) as Record<string, unknown>;
const OAS = JSON.parse(read('tyk-oas.json')) as Record<string, unknown>;

const convert = (...values: unknown[]): Converted =>
  convertTyk(
    values.map((value, index) => ({ name: `${index}.json`, text: JSON.stringify(value) })),
    'prod',
  );
const first = ({ apis }: Converted) => apis[0]?.definition;
const notes = ({ notes: all }: Converted) =>
  all.map(({ file, line, kind, where }) => `${file}:${line} ${kind} ${where}`);
const valid = ({ apis }: Converted): boolean =>
  apis.every(
    ({ name, version, context, definition: rest }) => definition.safeParse({ name, version, context, ...rest }).success,
  );

/** A classic definition of one version. */
const classic = (more: object = {}, paths: object = {}): object => ({
  name: 'api',
  api_id: '1',
  active: true,
  use_keyless: true,
  proxy: { listen_path: '/api/', target_url: 'http://up.internal/', strip_listen_path: true },
  version_data: {
    not_versioned: true,
    versions: { Default: { name: 'Default', use_extended_paths: true, extended_paths: paths } },
  },
  ...more,
});

describe('definitions and policies of Tyk', () => {
  const converted = convertTyk(SOURCES, 'prod');

  it('become APIs and plans, each API a definition', () => {
    expect(valid(converted)).toBe(true);
    expect(
      converted.apis.map(({ name, version, context, definition: { plans } }) => [name, version, context, plans]),
    ).toEqual([
      ['weather', 'v1', '/weather', ['gold', 'trial']],
      ['orders', 'v2', '/orders/v2', ['gold']],
    ]);
    expect(converted.plans).toEqual([
      { id: 'gold', rate: { limit: 100, per: 'minute' }, quota: { limit: 10_000, per: 'day' } },
      { id: 'trial', rate: { limit: 20, per: 'minute', burst: 10 }, quota: null },
    ]);
  });

  it('keep keys, blocked, open and answered paths, headers, sizes, addresses and weights', () => {
    const [weather, orders] = converted.apis.map((one) => one.definition);
    expect(weather).toMatchObject({
      security: 'key',
      credential: { header: 'X-Weather-Key', query: 'key' },
      policies: {
        ip: { deny: ['198.51.100.0/24'] },
        requestHeaders: { set: { 'X-Gateway': 'edge' } },
        maxBodyBytes: 1_048_576,
      },
      upstream: { targets: [{ url: 'http://weather-a.internal:8080/api', weight: 2 }, { weight: 1 }] },
    });
    expect(weather?.routes).toEqual([
      { method: 'GET', path: '/health', security: 'open', policies: { mock: { status: 200, body: 'ok' } } },
      { method: 'GET', path: '/admin/*', policies: { mock: { status: 403 } } },
      { method: 'POST', path: '/admin/*', policies: { mock: { status: 403 } } },
      {
        method: 'GET',
        path: '/cities/{id}',
        policies: { requestHeaders: { set: { 'X-Gateway': 'edge', 'X-Source': 'gateway' }, remove: ['X-Debug'] } },
      },
      { method: 'POST', path: '/reports', policies: { maxBodyBytes: 65_536 } },
      { method: 'GET', path: '/cities', policies: { cache: { ttlSeconds: 30 } } },
      { method: '*', path: '/*' },
    ]);
    // a list of what is allowed leaves nothing else
    expect(orders?.routes.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /items',
      'POST /items',
      'GET /items/{id}',
      'GET /legacy',
    ]);
    expect(orders?.routes[3]?.policies?.mock).toEqual({
      status: 410,
      headers: { 'Content-Type': 'text/plain' },
      body: 'gone',
    });
  });

  it('are reported with file and line where something did not come along, and never with a secret', () => {
    const found = notes(converted);
    for (const expected of [
      'tyk-classic.json:34 lost version_data.versions.Default.extended_paths.transform_headers[0].add_headers.X-City',
      'tyk-classic.json:39 lost version_data.versions.Default.extended_paths.validate_json',
      'tyk-classic.json:66 lost upstream_auth',
      'tyk-oas.json:34 lost x-tyk-api-gateway.middleware.operations.createItem.validateRequest',
      'tyk-policies.json:20 lost gold.access_rights.orders.allowed_urls',
    ])
      expect(found).toContain(expected);
    expect(JSON.stringify(converted)).not.toContain('not-to-be-found');
  });

  it('are found in lists and exports', () => {
    expect(convert([CLASSIC, OAS]).apis).toHaveLength(2);
    expect(convert({ apis: [{ api_model: {}, api_definition: CLASSIC }] }).apis).toHaveLength(1);
    expect(convert({ Data: [{ name: 'Gold', rate: 5, per: 1, access_rights: { '1': {} } }] }).plans).toHaveLength(1);
    expect(notes(convert({ openapi: '3.0.3', info: {}, paths: {} }))).toEqual(['0.json:1 lost (whole)']);
    expect(notes(convert('nothing'))).toEqual(['0.json:1 lost (whole)']);
  });

  it('without a policy that gives access let nobody be subscribed, and say so', () => {
    const alone = convert(CLASSIC);
    expect(first(alone)?.plans).toEqual([]);
    expect(notes(alone)).toContain('0.json:1 closed (whole)');
  });
});

describe('what Tyk kept out', () => {
  it.each([
    ['basic authentication', { use_keyless: false, use_basic_auth: true }],
    ['signatures', { use_keyless: false, enable_signature_checking: true }],
    ['client certificates', { use_mutual_tls_auth: true }],
    ['a script before requests', { custom_middleware: { pre: [{ name: 'pre', path: 'pre.js' }] } }],
    ['a bundle', { custom_middleware_bundle: 'auth.zip' }],
  ])('by %s stays out', (_, more) => {
    const converted = convert(classic(more));
    expect(first(converted)).toMatchObject({ security: 'key', routes: [{ path: '/*', scopes: ['nobody'] }] });
    expect(converted.notes.map(({ kind }) => kind)).toContain('closed');
  });

  it.each([
    ['middleware', { global: { prePlugins: [{ enabled: true, functionName: 'auth', path: 'auth.js' }] } }],
    ['middleware', { global: { pluginConfig: { driver: 'goplugin', bundle: { enabled: true, path: 'auth.zip' } } } }],
    ['server', { listenPath: { value: '/x/', strip: true }, clientCertificates: { enabled: true, allowlist: ['a'] } }],
  ])('by %s of the newer format stays out: %j', (field, value) => {
    const open = structuredClone(OAS) as Record<string, Record<string, unknown>>;
    const extension = {
      ...open['x-tyk-api-gateway'],
      server: { listenPath: { value: '/x/', strip: true } },
      middleware: {},
    };
    expect(first(convert({ ...open, 'x-tyk-api-gateway': extension }))).toMatchObject({ security: 'open' });
    const converted = convert({ ...open, 'x-tyk-api-gateway': { ...extension, [field]: value } });
    expect(first(converted)).toMatchObject({ security: 'key', routes: [{ path: '/*', scopes: ['nobody'] }] });
  });

  it('stays out where the path is a pattern that no template says: everything does', () => {
    const converted = convert(
      classic(
        {},
        { black_list: [{ path: '/admin|/root', method: 'GET' }], ignored: [{ path: '/health', method: 'GET' }] },
      ),
    );
    expect(first(converted)).toMatchObject({ policies: { mock: { status: 403 } } });
    expect(first(converted)?.routes.every(({ policies }) => policies?.mock === undefined)).toBe(true);
  });

  it('by a list of allowed paths stays out, also when none of them can be said', () => {
    expect(convert(classic({}, { white_list: [{ path: '/(a|b)', method: 'GET' }] })).apis).toEqual([]);
  });

  it('by lists of plain paths stays out', () => {
    const versions = {
      Default: { use_extended_paths: false, paths: { black_list: ['/admin'], ignored: [], white_list: [] } },
    };
    expect(first(convert(classic({ version_data: { not_versioned: true, versions } })))?.routes).toMatchObject([
      { method: '*', path: '/admin/*', policies: { mock: { status: 403 } } },
      { method: '*', path: '/*' },
    ]);
  });

  it('is not let in by a definition that is off', () => {
    expect(convert(classic({ active: false })).apis).toEqual([]);
    expect(convert(classic({ internal: true })).apis).toEqual([]);
    const off = structuredClone(OAS) as { 'x-tyk-api-gateway': { info: { state: { active: boolean } } } };
    off['x-tyk-api-gateway'].info.state.active = false;
    expect(convert(off).apis).toEqual([]);
  });
});

describe('versions of Tyk', () => {
  const versioned = (location: string): Converted =>
    convert(
      classic({
        definition: { location, key: 'version' },
        version_data: {
          not_versioned: false,
          default_version: 'v2',
          versions: { v1: { name: 'v1', override_target: 'http://old.internal' }, v2: { name: 'v2' } },
        },
      }),
    );

  it('in the path are APIs of their own', () => {
    expect(
      versioned('url').apis.map(({ name, version, context, definition: { upstream } }) => [
        name,
        version,
        context,
        upstream.targets[0]?.url,
      ]),
    ).toEqual([
      ['api', 'v1', '/api/v1', 'http://old.internal'],
      ['api', 'v2', '/api/v2', 'http://up.internal/'],
    ]);
  });

  it('in a header are not: the default one is converted, the others are reported', () => {
    const converted = versioned('header');
    expect(converted.apis.map(({ context }) => context)).toEqual(['/api']);
    expect(notes(converted)).toContain('0.json:1 lost version_data.versions.v1');
  });
});

describe('whatever files say', () => {
  const words = [
    ...new Set(SOURCES.flatMap(({ text }) => [...text.matchAll(/"([^"]{1,30})"/g)].map(([, word = '']) => word))),
  ];

  it('they are converted without an exception, to definitions', () => {
    fc.assert(
      fc.property(hostileValues(words), (value) => valid(convert(value))),
      { numRuns: 200 },
    );
  });

  it('with anything of the examples replaced, too', () => {
    const examples = SOURCES.map(({ text }) => JSON.parse(text) as unknown);
    fc.assert(
      fc.property(damaged(examples, words), (value) => valid(convert(value))),
      { numRuns: 200 },
    );
  });
});
