import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { definition } from '#model';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { Converted } from '../model/converted.js';
import { damaged, hostileValues } from '../../testing/hostile-values.js';
import { convertKong } from './convert-kong.js';

const EXAMPLE = readFileSync(new URL('../../../../../docs/examples/moving/kong.yaml', import.meta.url), 'utf8');

const convert = (text: string): Converted => convertKong([{ name: 'kong.yaml', text }], 'prod');
const convertValue = (value: unknown): Converted => convert(stringify(value));
const api = (converted: Converted, name: string) => converted.apis.find((one) => one.name === name)?.definition;
const notes = ({ notes: all }: Converted) => all.map(({ line, kind, where }) => `${line} ${kind} ${where}`);

/** A service with one route and what else is said. */
const service = (more: object, route: object = {}): object => ({
  _format_version: '3.0',
  services: [
    {
      name: 'weather',
      url: 'http://weather.internal',
      routes: [{ name: 'all', paths: ['/weather'], ...route }],
      ...more,
    },
  ],
});

describe('the report', () => {
  it('names a target of weight 0, and what consumers have beside their names', () => {
    const upstreams = [
      {
        name: 'both',
        targets: [
          { target: 'a:80', weight: 10 },
          { target: 'b:80', weight: 0 },
        ],
      },
    ];
    const consumers = [
      { username: 'crm', custom_id: '4711', tags: ['gold'] },
      { custom_id: 'erp', tags: [] },
    ];
    const found = convertValue({ ...service({ url: 'http://both' }), upstreams, consumers });
    expect(notes(found).map((note) => note.replace(/^\d+ /, ''))).toEqual([
      'lost upstreams[both].targets[1]',
      'lost consumers[crm].custom_id',
      'lost consumers[crm].tags',
    ]);
  });

  it('calls nothing different of a route that is left out', () => {
    const kinds = (route: object): string[] => convertValue(service({}, route)).notes.map(({ kind }) => kind);
    expect(kinds({ hosts: ['a.example.com'], protocols: ['https'] })).toEqual(['changed', 'changed']);
    expect(kinds({ hosts: ['a.example.com'], protocols: ['https'], paths: ['/'] })).not.toContain('changed');
    const unserved = service({ url: undefined, host: undefined }, { hosts: ['a.example.com'] });
    expect(convertValue(unserved).notes.map(({ kind }) => kind)).not.toContain('changed');
  });
});

describe('a file of decK', () => {
  const converted = convert(EXAMPLE);

  it('becomes APIs, each of them a definition', () => {
    expect(converted.apis.map(({ name, version, context }) => [name, version, context])).toEqual([
      ['weather', 'v1', '/weather/v1'],
      ['orders', 'v2', '/orders/v2'],
      ['partners', 'v1', '/files'],
      ['status', 'v1', '/status'],
    ]);
    for (const { definition: rest, kind: _kind, serve: _serve, ...named } of converted.apis)
      expect(definition.safeParse({ ...named, ...rest }).error).toBeUndefined();
  });

  it('keeps keys, limits, addresses, CORS, headers, sizes, mocks, targets and their weights', () => {
    expect(api(converted, 'weather')).toMatchObject({
      security: 'key',
      credential: { header: 'apikey', query: 'apikey' },
      plans: ['rate-60-minute-10000-day', 'gold'],
      policies: {
        cors: { origins: ['https://app.example.com'], credentials: true, maxAgeSeconds: 3600 },
        requestHeaders: { add: { 'X-Gateway': 'edge' }, remove: ['X-Debug'] },
      },
      upstream: { targets: [{ url: 'http://weather.internal:8080/api' }], responseTimeoutMs: 10_000, retries: 2 },
    });
    expect(api(converted, 'orders')).toMatchObject({
      security: 'jwt',
      policies: { ip: { allow: ['10.0.0.0/8', '127.0.0.1'] } },
      upstream: {
        targets: [
          { url: 'https://orders-a.internal:8443/orders/v2', weight: 100 },
          { url: 'https://orders-b.internal:8443/orders/v2', weight: 50 },
        ],
      },
      routes: [
        { method: 'GET', path: '/items' },
        { method: 'GET', path: '/items/{id}', policies: { maxBodyBytes: 65_536 } },
        { method: 'DELETE', path: '/items/{id}' },
        { method: 'GET', path: '/health/*', policies: { mock: { status: 200, body: '{"message":"ok"}' } } },
      ],
    });
    expect(api(converted, 'status')).toMatchObject({ security: 'open', openPlan: 'rate-5-second', plans: [] });
    expect(converted.plans).toContainEqual({ id: 'gold', rate: { limit: 20, per: 'minute', burst: 10 }, quota: null });
  });

  it('subscribes consumers to what Kong lets them use, on the plan of their group', () => {
    const subscriptions = converted.lines.flatMap((line) =>
      line.kind === 'subscription' ? [`${line.application} ${line.api} ${line.plan}`] : [],
    );
    expect(subscriptions).toEqual([
      'crm weather:v1 rate-60-minute-10000-day',
      'shop weather:v1 gold',
      'batch orders:v2 unlimited',
    ]);
  });

  it('has keys as their SHA-256 only, and no secret anywhere', () => {
    const keys = converted.lines.flatMap((line) => (line.kind === 'key' ? [line.sha256] : []));
    const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex');
    expect(keys).toEqual(['crm-0123456789abcdef', 'shop-0123456789abcdef', 'short'].map(hashOf));
    const all = JSON.stringify(converted);
    for (const secret of ['0123456789abcdef"', 'crm-0123', 'not-to-be-found']) expect(all).not.toContain(secret);
  });

  it('reports with its line each thing that did not come along', () => {
    const found = notes(converted);
    for (const expected of [
      '29 lost services[weather].plugins[rate-limiting].config.hour',
      '38 lost services[weather].plugins[request-transformer].config.add.querystring',
      '66 changed services[orders-v2].plugins[jwt]',
      '75 lost services[partners].routes[partners].paths[0]',
      '80 closed services[partners].plugins[basic-auth]',
      '87 lost services[status].routes[status].preserve_host',
      '125 lost consumers[shop].keyauth_credentials[1]',
      '132 lost consumers[batch].jwt_secrets',
    ])
      expect(found).toContain(expected);
    for (const { why, todo } of converted.notes) expect([why, todo]).not.toContain('');
  });
});

describe('what Kong kept out', () => {
  it.each(['basic-auth', 'ldap-auth', 'openid-connect', 'pre-function', 'a-plugin-of-our-own'])(
    'stays out where %s has no counterpart: even with a key and a subscription',
    (name) => {
      const converted = convertValue({
        ...service({ plugins: [{ name, config: { x: 1 } }] }),
        consumers: [{ username: 'crm', keyauth_credentials: [{ key: 'crm-0123456789abcdef' }] }],
      });
      expect(api(converted, 'weather')).toMatchObject({ security: 'key', routes: [{ scopes: ['nobody'] }] });
      expect(converted.lines.some(({ kind }) => kind === 'subscription')).toBe(false);
      expect(notes(converted)[0]).toContain('closed');
    },
  );

  it('stays out of one route of an API whose others take keys', () => {
    const keyed = { name: 'keyed', paths: ['/weather/a'], plugins: [{ name: 'key-auth' }] };
    const hidden = { name: 'hidden', paths: ['/weather/b'], plugins: [{ name: 'basic-auth' }] };
    const converted = convertValue(
      service({ routes: [{ paths: ['/weather'], plugins: [{ name: 'key-auth' }] }, keyed, hidden] }),
    );
    expect(api(converted, 'weather')?.routes).toMatchObject([
      { path: '/*' },
      { path: '/a/*' },
      { path: '/b/*', scopes: ['nobody'] },
    ]);
  });

  it('by a list of groups stays out: of the API by subscriptions, of one route by scopes', () => {
    const acl = (...allow: string[]) => ({ name: 'acl', config: { allow } });
    const consumer = (username: string, ...groups: string[]) => ({
      username,
      keyauth_credentials: [{ key: `${username}-0123456789abcdef` }],
      acls: groups.map((group) => ({ group })),
    });
    const whole = convertValue({
      ...service({ plugins: [{ name: 'key-auth' }, { name: 'acl', config: { deny: ['bad'] } }] }),
      consumers: [consumer('a', 'good'), consumer('b', 'good', 'bad'), consumer('c')],
    });
    expect(
      whole.lines
        .filter(({ kind }) => kind === 'subscription')
        .map((line) => 'application' in line && line.application),
    ).toEqual(['a', 'c']);
    const single = convertValue({
      ...service({
        plugins: [{ name: 'key-auth' }],
        routes: [{ paths: ['/weather'] }, { name: 'inner', paths: ['/weather/inner'], plugins: [acl('staff')] }],
      }),
      consumers: [consumer('a', 'staff'), consumer('b', 'other')],
    });
    expect(api(single, 'weather')?.routes).toMatchObject([{ path: '/*' }, { path: '/inner/*', scopes: ['staff'] }]);
    expect(single.lines.flatMap((line) => (line.kind === 'key' ? [line.scopes ?? null] : []))).toEqual([
      ['staff'],
      null,
    ]);
  });

  it('by an address that cannot be read stays out, with everybody else', () => {
    const converted = convertValue(
      service({ plugins: [{ name: 'ip-restriction', config: { allow: ['10.0.0.0/8', '10.0.0.300'] } }] }),
    );
    expect(api(converted, 'weather')?.policies?.ip).toEqual({ deny: ['0.0.0.0/0', '::/0'] });
  });

  it.each([
    ['headers', { 'x-version': ['2'] }],
    ['snis', ['a.example.com']],
    ['sources', [{ ip: '10.0.0.1' }]],
  ])('by %s of a route stays out: the route is left out', (field, value) => {
    expect(convertValue(service({}, { [field]: value })).apis).toEqual([]);
  });

  it('for a consumer whose requests are all refused stays out: he and his keys are left out', () => {
    const converted = convertValue({
      ...service({ plugins: [{ name: 'key-auth' }] }),
      consumers: [
        {
          username: 'crm',
          keyauth_credentials: [{ key: 'crm-0123456789abcdef' }],
          plugins: [{ name: 'request-termination' }],
        },
      ],
    });
    expect(converted.lines).toEqual([]);
  });

  it('for a group of consumers stays out: its members are left out, or may come from its addresses alone', () => {
    const members = (plugin: object) =>
      convertValue({
        ...service({ plugins: [{ name: 'key-auth' }] }),
        consumer_groups: [{ name: 'g', consumers: [{ username: 'crm' }], plugins: [plugin] }],
        consumers: [{ username: 'crm', keyauth_credentials: [{ key: 'crm-0123456789abcdef' }] }],
      }).lines.filter(({ kind }) => kind !== 'subscription');
    expect(members({ name: 'request-termination' })).toEqual([]);
    expect(members({ name: 'ip-restriction', config: { allow: ['10.0.0.0/8'] } })).toMatchObject([
      { kind: 'application' },
      { ips: ['10.0.0.0/8'] },
    ]);
    expect(members({ name: 'ip-restriction', config: { deny: ['10.0.0.0/8'] } })).toMatchObject([
      { kind: 'application' },
    ]);
  });

  it('by a key that ends, does not come to have no end', () => {
    const credentials = [
      { key: 'a-0123456789abcdef', ttl: 60 },
      { key: 'b-0123456789abcdef', ttl: 60, created_at: 1_700_000_000 },
    ];
    const converted = convertValue({
      ...service({ plugins: [{ name: 'key-auth' }] }),
      consumers: [{ username: 'crm', keyauth_credentials: credentials }],
    });
    expect(converted.lines.flatMap((line) => (line.kind === 'key' ? [line.expiresAt] : []))).toEqual([
      '2023-11-14T22:14:20.000Z',
    ]);
  });
});

describe('paths of Kong', () => {
  const paths = (...routes: object[]): Converted =>
    convertValue(service({ url: undefined, host: 'weather', path: '/base', routes }));

  it('are stripped or not, each as its route says', () => {
    expect(api(paths({ paths: ['/a/b'], strip_path: false }), 'weather')?.upstream.targets).toEqual([
      { url: 'http://weather:80/base/a/b' },
    ]);
    const mixed = api(paths({ paths: ['/a'] }, { paths: ['/a/x'] }, { paths: ['/a/y'], strip_path: false }), 'weather');
    expect(mixed?.upstream.targets).toEqual([{ url: 'http://weather:80/base' }]);
    expect(mixed?.routes).toEqual([
      { method: '*', path: '/*' },
      { method: '*', path: '/x/*', policies: { rewrite: { prefix: '/x', with: '/' } } },
      { method: '*', path: '/y/*', policies: { rewrite: { prefix: '/', with: '/a' } } },
    ]);
  });

  it('of one service are one API only where that takes no path from others', () => {
    const contexts = (...lists: string[][]): string[] =>
      convertValue({
        _format_version: '3.0',
        services: lists.map((list, index) => ({ name: `s${index}`, url: 'http://x', routes: [{ paths: list }] })),
      }).apis.map(({ context }) => context);
    expect(contexts(['/api/v1/a', '/api/v1/b'])).toEqual(['/api/v1']);
    expect(contexts(['/api/a', '/api/b'])).toEqual(['/api/a', '/api/b']);
    expect(contexts(['/api/v1/a', '/api/v1/b'], ['/api/v1/c'])).toEqual(['/api/v1/a', '/api/v1/b', '/api/v1/c']);
    expect(contexts(['/a/b'], ['/a'], ['/a/b'], ['/c'])).toEqual(['/a/b', '/c']);
    expect(contexts(['/'])).toEqual([]);
  });

  it('were regular expressions without a mark before format 3', () => {
    const old = (path: string) =>
      convertValue({ ...service({}, { paths: [path] }), _format_version: '1.1' }).apis.map(({ context }) => context);
    expect([old('/a/b'), old('/a/(?<id>[^/]+)$'), old('/a/(x|y)')]).toEqual([['/a/b'], [], []]);
    const kept = convertValue({
      ...service({}, { paths: ['/a/(?<id>[^/]+)$'], strip_path: false }),
      _format_version: '1.1',
    });
    expect(api(kept, 'weather')?.routes).toEqual([{ method: '*', path: '/{id}', id: 'all' }]);
  });

  it('take defaults that are said once for all', () => {
    const converted = convertValue({
      ...service({}),
      _info: { defaults: { route: { strip_path: false, methods: ['GET'] }, service: { read_timeout: 5 } } },
    });
    expect(api(converted, 'weather')).toMatchObject({
      routes: [{ method: 'GET' }],
      upstream: { targets: [{ url: 'http://weather.internal/weather' }], responseTimeoutMs: 5 },
    });
  });
});

describe('limits of Kong', () => {
  const limited = (config: object) => ({ name: 'rate-limiting', config });

  it('of a route are those of the API where it is the only one, of each route where all have the same', () => {
    const plans = (...routes: object[]) => convertValue(service({ plugins: [{ name: 'key-auth' }], routes })).plans;
    const one = { rate: { limit: 5, per: 'minute' }, quota: null };
    expect(plans({ paths: ['/weather'], plugins: [limited({ minute: 5 })] })).toEqual([
      { id: 'rate-5-minute', ...one },
    ]);
    expect(
      plans(
        { name: 'a', paths: ['/w/a'], plugins: [limited({ minute: 5 })] },
        { name: 'b', paths: ['/w'], plugins: [limited({ minute: 5 })] },
      ),
    ).toMatchObject([{ rate: null, perRoute: one }]);
    expect(
      plans({ name: 'a', paths: ['/w/a'], plugins: [limited({ minute: 5 })] }, { name: 'b', paths: ['/w'] }),
    ).toEqual([{ id: 'unlimited', rate: null, quota: null }]);
  });

  it('of a consumer come before those of his group, and those for one service before both', () => {
    const converted = convertValue({
      ...service({ plugins: [{ name: 'key-auth' }] }),
      consumer_groups: [{ name: 'gold', plugins: [limited({ minute: 1 })] }],
      consumers: ['a', 'b', 'c'].map((username) => ({
        username,
        keyauth_credentials: [{ key: `${username}-0123456789abcdef` }],
        groups: [{ name: 'gold' }],
      })),
      plugins: [
        { ...limited({ minute: 2 }), consumer: 'b' },
        { ...limited({ minute: 3 }), consumer: { username: 'c' } },
        { ...limited({ minute: 4 }), consumer: 'c', service: 'weather' },
      ],
    });
    const plan = new Map(converted.plans.map(({ id, rate }) => [id, rate?.limit]));
    expect(converted.lines.flatMap((line) => (line.kind === 'subscription' ? [plan.get(line.plan)] : []))).toEqual([
      1, 2, 4,
    ]);
  });

  it('of all callers together are of the API', () => {
    const converted = convertValue(
      service({ plugins: [{ name: 'key-auth' }, limited({ second: 9, limit_by: 'service' })] }),
    );
    expect(converted.plans[0]).toMatchObject({ rate: null, perApi: { rate: { limit: 9, per: 'second' } } });
  });
});

describe('whatever a file says', () => {
  const valid = ({ apis }: Converted): boolean =>
    apis.every(
      ({ name, version, context, definition: rest }) =>
        definition.safeParse({ name, version, context, ...rest }).success,
    );

  it('is converted without an exception, to definitions', () => {
    fc.assert(
      fc.property(hostileValues(convertedKeys()), (value) => {
        expect(valid(convertKong([{ name: 'x', text: JSON.stringify(value) }], 'prod'))).toBe(true);
      }),
      { numRuns: 120 },
    );
  });

  it('with anything of the example replaced, too', () => {
    fc.assert(
      fc.property(damaged(parse(EXAMPLE), convertedKeys()), (value) => {
        expect(valid(convertKong([{ name: 'x', text: JSON.stringify(value) }], 'prod'))).toBe(true);
      }),
      { numRuns: 120 },
    );
  });

  it('with anything torn out of its text, or put into it, too', () => {
    fc.assert(
      fc.property(fc.nat(EXAMPLE.length), fc.nat(60), fc.string({ maxLength: 8 }), (from, length, put) => {
        expect(valid(convert(EXAMPLE.slice(0, from) + put + EXAMPLE.slice(from + length)))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  /** The words of the example, so that what is made up is looked at. */
  function convertedKeys(): string[] {
    return [
      ...new Set(EXAMPLE.match(/[a-z_]+(?=:)/g)),
      'key-auth',
      'rate-limiting',
      'acl',
      'cors',
      'weather',
      '/a/b',
      '~/a$',
      'http://x',
    ];
  }
});
