// Each policy and setting of a definition, through a real socket; what exactly is decided is in the specs beside this one.
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordedRequest, type RecordingUpstream, recordingUpstream } from '#harness';
import type { Definition } from '#model';
import { call, exchange } from '../../testing/clients.js';
import { applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';

const KEY = 'hg_live_test';
const HAS_IPV6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

let upstream: RecordingUpstream;
let gateway: TestGateway;

beforeEach(async () => {
  upstream = await recordingUpstream();
  gateway = await TestGateway.start();
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
});

function load(definition: Partial<Definition>): void {
  const definite = definitionOf({
    security: 'open',
    routes: [{ method: '*', path: '/*' }],
    upstream: { targets: [{ url: upstream.url }] },
    ...definition,
  });
  gateway.load(placed(definite), planOp('gold'), applicationOp({ 'weather:v1': 'gold' }), keyOp(KEY));
}

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET', body?: string) =>
  call(gateway.port, method, `/weather/v1${path}`, headers, body);

function last(): RecordedRequest {
  const request = upstream.requests.at(-1);
  if (!request) throw new Error('the upstream got nothing');
  return request;
}

describe('policies', () => {
  it('cors: a preflight needs no key, and answers and refusals carry what browsers look for', async () => {
    const origin = 'https://app.example.com';
    load({ security: 'key', policies: { cors: { origins: [origin], exposeHeaders: ['Content-Length'] } } });
    const preflight = await ask('/a', { origin, 'access-control-request-method': 'PUT' }, 'OPTIONS');
    expect([preflight.status, preflight.text]).toEqual([204, '']);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'PUT',
    });
    const refused = await ask('/a', { origin });
    expect([refused.code, refused.headers['access-control-allow-origin']]).toEqual(['credential_missing', origin]);
    const { headers } = await ask('/a', { origin, 'x-api-key': KEY });
    expect(headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-expose-headers': 'Content-Length',
      vary: 'Origin',
    });
    const foreign = await ask('/a', { origin: 'https://evil.example.com', 'x-api-key': KEY });
    expect(foreign.headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('ip: lists of addresses and blocks let in and keep out', async () => {
    const codes: unknown[] = [];
    for (const ip of [
      { allow: ['127.0.0.0/8'] },
      { allow: ['::ffff:127.0.0.1'] },
      { allow: ['10.0.0.0/8', '::/0'] },
      { allow: ['127.0.0.0/8'], deny: ['127.0.0.1'] },
      { deny: ['10.0.0.0/8'] },
    ]) {
      load({ policies: { ip } });
      codes.push((await ask('/a')).code ?? 'served');
    }
    expect(codes).toEqual(['served', 'served', 'ip_denied', 'ip_denied', 'served']);
    expect(upstream.requests).toHaveLength(3);
  });

  it.runIf(HAS_IPV6)('ip: an IPv4 address is one on a socket for both families, too', async () => {
    const other = new TestGateway();
    other.port = await other.engine.listen(0, '::');
    const definition = definitionOf({
      security: 'open',
      policies: { ip: { deny: ['127.0.0.1'] }, mock: { status: 200 } },
    });
    other.load(placed(definition));
    expect((await call(other.port, 'GET', '/weather/v1/today')).code).toBe('ip_denied');
    await other.stop();
  });

  it('maxBodyBytes: a longer body is refused, announced or not', async () => {
    load({ policies: { maxBodyBytes: 5 } });
    expect((await ask('/a', {}, 'POST', '12345')).status).toBe(200);
    expect(last().body.toString()).toBe('12345');
    expect((await ask('/a', {}, 'POST', '123456')).code).toBe('body_too_large');
    const chunked = await exchange(
      gateway.port,
      'POST /weather/v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n',
    );
    expect(chunked).toMatch(/^HTTP\/1.1 413 [^]*body_too_large/);
    expect(upstream.requests).toHaveLength(1);
  });

  it('requestHeaders and responseHeaders: remove, set, add', async () => {
    upstream.fault = { kind: 'status', status: 200, headers: { 'x-b': '1', server: 's' } };
    load({
      policies: {
        requestHeaders: { remove: ['X-A'], set: { 'X-B': 'new' }, add: { 'X-C': '2' } },
        responseHeaders: { remove: ['Server'], set: { 'X-B': 'new' }, add: { 'X-C': '2' } },
      },
    });
    const { headers } = await ask('/a', { 'x-a': '1', 'x-b': '1', 'x-c': '1' });
    expect(last().headers).toMatchObject({ 'x-b': 'new', 'x-c': '1, 2' });
    expect(last().headers).not.toHaveProperty('x-a');
    expect(headers).toMatchObject({ 'x-b': 'new', 'x-c': '2' });
    expect(headers).not.toHaveProperty('server');
  });

  it('rewrite: the beginning of the path goes upstream as another', async () => {
    load({ policies: { rewrite: { prefix: '/old', with: '/new/base' } } });
    await ask('/old/x%20y?q=/old');
    expect(last().url).toBe('/new/base/x%20y?q=/old');
    await ask('/older');
    expect(last().url).toBe('/older');
  });

  it('mock: answers for the upstream, after the checks', async () => {
    load({
      security: 'key',
      policies: { mock: { status: 418, headers: { 'Content-Type': 'text/tea' }, body: 't\u00e9a' } },
    });
    expect((await ask('/a')).code).toBe('credential_missing');
    const answer = await ask('/a', { 'x-api-key': KEY });
    expect(answer).toMatchObject({
      status: 418,
      text: 't\u00e9a',
      headers: { 'content-type': 'text/tea', 'content-length': '4' },
    });
    const head = await ask('/a', { 'x-api-key': KEY }, 'HEAD');
    expect(head).toMatchObject({ status: 418, text: '', headers: { 'content-length': '4' } });
    expect(upstream.requests).toEqual([]);
  });

  it('of a route take the place of those of the API', async () => {
    load({
      policies: { mock: { status: 200, body: 'of the API' } },
      routes: [
        { method: 'GET', path: '/a' },
        { method: 'GET', path: '/b', policies: { mock: { status: 200, body: 'of the route' } } },
      ],
    });
    expect([(await ask('/a')).text, (await ask('/b')).text]).toEqual(['of the API', 'of the route']);
  });
});

describe('settings', () => {
  it('security: a route may be open, or ask for a key, against the rule of its API', async () => {
    const routes: Definition['routes'] = [
      { method: 'GET', path: '/free', security: 'open' },
      { method: 'GET', path: '/paid', security: 'key' },
      { method: 'GET', path: '/as-the-api' },
    ];
    const codes = async () =>
      Promise.all(['/free', '/paid', '/as-the-api'].map(async (path) => (await ask(path)).code));
    load({ security: 'key', routes });
    expect(await codes()).toEqual([undefined, 'credential_missing', 'credential_missing']);
    load({ security: 'open', routes });
    expect(await codes()).toEqual([undefined, 'credential_missing', undefined]);
  });

  it('credential: a key is found where the API looks for it, and in Bearer, and stays at the gateway', async () => {
    load({ security: 'key', credential: { header: 'X-Our-Key', query: 'our-key' } });
    expect((await ask('/a?b=1', { 'x-api-key': KEY })).code).toBe('credential_missing');
    for (const [path, headers] of [
      ['/a?b=1', { 'x-our-key': KEY }],
      [`/a?our-key=${KEY}&b=1`, {}],
      [`/a?b=1&our%2Dkey=${KEY}`, {}],
      ['/a?b=1', { authorization: `Bearer ${KEY}` }],
    ] as const) {
      expect([path, (await ask(path, headers)).status]).toEqual([path, 200]);
      expect(last().url).toBe('/a?b=1');
      expect(last().rawHeaders.join()).not.toContain(KEY);
    }
  });

  it('credential: one that is to be passed on is', async () => {
    load({ security: 'key', credential: { query: 'k', forward: true } });
    await ask(`/a?k=${KEY}`);
    expect(last().url).toBe(`/a?k=${KEY}`);
    await ask('/a', { 'x-api-key': KEY });
    expect(last().headers['x-api-key']).toBe(KEY);
  });

  it('encodedSlashes: %2F is refused, or a part of its segment that goes upstream as it came', async () => {
    load({ routes: [{ method: 'GET', path: '/files/{id}' }] });
    expect((await ask('/files/a%2Fb')).code).toBe('bad_request');
    load({ routes: [{ method: 'GET', path: '/files/{id}' }], encodedSlashes: 'pass' });
    expect((await ask('/files/a%2Fb%2fc')).status).toBe(200);
    expect(last().url).toBe('/files/a%2Fb%2fc');
    for (const path of ['/files/..%2Fadmin', '/files/a%2f%2e%2e%2fb', '/files/a%5c..', '/files%2Fa/b'])
      expect([path, (await ask(path)).status]).toEqual([path, path.startsWith('/files%') ? 404 : 400]);
    expect(upstream.requests).toHaveLength(1);
  });

  it('upstream: targets of the region take the place of the others', async () => {
    const elsewhere = [{ url: 'http://127.0.0.1:1' }];
    load({ upstream: { targets: elsewhere, regions: { 'eu-west': { targets: [{ url: `${upstream.url}/eu` }] } } } });
    await ask('/a');
    expect(last().url).toBe('/eu/a');
  });

  it('maxStaleness: an old state serves or refuses, as the API says', async () => {
    gateway.state.headIssuedAt = Date.now() - 3_600_000;
    load({ maxStaleness: { seconds: 60 } });
    expect((await ask('/a')).status).toBe(200);
    load({ maxStaleness: { seconds: 60, past: 'refuse' } });
    expect((await ask('/a')).code).toBe('too_stale');
    gateway.state.headIssuedAt = Date.now();
    expect((await ask('/a')).status).toBe(200);
  });

  it('routes: the method is a part of them, and 405 says which ones there are', async () => {
    load({
      routes: [
        { method: 'GET', path: '/{id}' },
        { method: 'DELETE', path: '/{id}' },
        { method: 'PUT', path: '/*' },
      ],
    });
    const answer = await ask('/a', {}, 'POST', 'x');
    expect([answer.status, answer.code, answer.headers.allow]).toEqual([
      405,
      'method_not_allowed',
      'DELETE, GET, HEAD, PUT',
    ]);
  });

  it('Heliograph-Min-Revision: a state that is older says so, and when to ask again', async () => {
    load({});
    const newer = { 'heliograph-min-revision': `prod@${gateway.state.revision + 1}` };
    const answer = await ask('/a', newer);
    expect([answer.status, answer.code, answer.headers['retry-after']]).toEqual([425, 'behind_min_revision', '1']);
    load({});
    expect((await ask('/a', newer)).status).toBe(200);
  });
});
