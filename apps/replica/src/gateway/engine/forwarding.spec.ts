import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream } from '#harness';
import type { Definition } from '#model';
import { planOp } from '../../testing/sample-ops.js';
import { call, exchange, type RawServer, rawServer } from '../../testing/clients.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';

const KEY = 'hg_live_test';
const withKey = { 'x-api-key': KEY };

let upstream: RecordingUpstream;
let gateway: TestGateway;
const servers: RawServer[] = [];

beforeEach(async () => {
  upstream = await recordingUpstream();
  gateway = await TestGateway.start();
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
  for (const server of servers.splice(0)) await server.close();
});

function load(definition: Partial<Definition>, target = upstream.url): void {
  const routes: Definition['routes'] = [{ method: '*', path: '/*' }];
  gateway.load(
    placed(definitionOf({ routes, upstream: { targets: [{ url: target }] }, ...definition })),
    planOp('gold'),
    applicationOp({ 'weather:v1': 'gold' }),
    keyOp(KEY),
  );
}

/** An upstream that answers every request with these bytes. */
async function answering(bytes: string): Promise<string> {
  const server = await rawServer((socket) => socket.on('data', () => socket.write(bytes, 'latin1')));
  servers.push(server);
  return server.url;
}

function last() {
  const request = upstream.requests.at(-1);
  if (!request) throw new Error('the upstream got nothing');
  return request;
}

describe('what goes upstream', () => {
  it('is method, path and query as they came, and the body', async () => {
    load({}, `${upstream.url}/base/`);
    const answer = await call(gateway.port, 'PATCH', '/weather/v1/a%20b/c/?x=//%2F&y', withKey, 'hello');
    expect(answer.status).toBe(200);
    expect(last()).toMatchObject({ method: 'PATCH', url: '/base/a%20b/c/?x=//%2F&y', body: Buffer.from('hello') });
    await call(gateway.port, 'GET', '/weather/v1?q', withKey);
    expect(last().url).toBe('/base?q');
  });

  it('is a head built anew: without the credential, hop-by-hop fields and those that Connection names', async () => {
    load({ credential: { query: 'api_key' } });
    const lines = [
      'GET /weather/v1/a?b=1&api_key=hg_live_test HTTP/1.1',
      'Host: api.example.com:8443',
      'X-API-Key: hg_live_test',
      'authorization: Bearer hg_live_test',
      'Connection: close, X-Secret-Hop , x-request-id',
      'X-Secret-Hop: 1',
      'Keep-Alive: timeout=5',
      'Proxy-Authorization: Basic eDp5',
      'TE: trailers',
      'Upgrade: h2c',
      'Expect: nothing-known',
      'X-Kept: one',
      'x-kept: t\u00e9wo',
      'Cookie: a=1',
    ];
    expect(await exchange(gateway.port, `${lines.join('\r\n')}\r\n\r\n`)).toMatch(/^HTTP\/1.1 200 OK/);
    const { rawHeaders, headers, url } = last();
    const names = rawHeaders.filter((_, i) => i % 2 === 0);
    expect(url).toBe('/a?b=1');
    expect(names).toEqual([
      'host',
      'connection',
      'X-Kept',
      'x-kept',
      'Cookie',
      'X-Request-Id',
      'X-Forwarded-For',
      'X-Forwarded-Proto',
      'X-Forwarded-Host',
      'Forwarded',
      'traceparent',
    ]);
    expect(headers).toMatchObject({
      host: upstream.url.slice('http://'.length),
      'x-kept': 'one, t\u00e9wo',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'api.example.com:8443',
      forwarded: 'for=127.0.0.1;host="api.example.com:8443";proto=http',
    });
  });

  it('has nothing that a client says in the name of a proxy', async () => {
    load({});
    const host = `127.0.0.1:${gateway.port}`;
    await call(gateway.port, 'GET', '/weather/v1/a', {
      ...withKey,
      'X-Forwarded-For': '203.0.113.9',
      Forwarded: 'for=203.0.113.9',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'forged',
      'x-forwarded-user': 'forged',
      X_Forwarded_For: 'forged',
      'X-Real-IP': 'forged',
      'X-Heliograph-Application': 'forged',
      'x-forwardedly': 'kept',
    });
    const { rawHeaders, headers } = last();
    expect(rawHeaders.join('\n')).not.toMatch(/forged|203\.0/);
    expect(headers).toMatchObject({
      'x-forwardedly': 'kept',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': host,
      forwarded: `for=127.0.0.1;host="${host}";proto=http`,
    });
  });

  it.each([
    'X-Original-URL',
    'X-Original-URI',
    'X-Original-Host',
    'X-Original-Method',
    'X-Rewrite-URL',
    'X-Host',
    'X-HTTP-Host-Override',
    'X-Client-IP',
    'X-Cluster-Client-IP',
    'True-Client-IP',
  ])('has no %s, by which some upstreams find another route than the one that was checked', async (name) => {
    load({});
    const others = { [name.toLowerCase()]: 'forged', [name.replaceAll('-', '_')]: 'forged', [`${name}s`]: 'kept' };
    await call(gateway.port, 'GET', '/weather/v1/a', { ...withKey, [name]: 'forged', ...others });
    expect(last().rawHeaders.join('\n')).not.toMatch(/forged/);
    expect(last().headers).toHaveProperty([`${name}s`.toLowerCase()], 'kept');
  });

  it('has another method only in fields with dashes, which the cache knows', async () => {
    load({});
    const named = { 'X-HTTP-Method-Override': 'PUT', 'X-Method-Override': 'PUT', 'X-HTTP-Method': 'PUT' };
    const forged = { x_http_method_override: 'forged', 'X-HTTP_Method': 'forged', 'x_method-override': 'forged' };
    await call(gateway.port, 'POST', '/weather/v1/a', { ...withKey, ...named, ...forged });
    expect(last().rawHeaders.join('\n')).not.toMatch(/forged/);
    for (const name of Object.keys(named)) expect(last().headers).toHaveProperty([name.toLowerCase()], 'PUT');
  });

  it('is nothing where an upstream could find another route than the one that was decided on', async () => {
    load({
      security: 'open',
      routes: [
        { method: 'GET', path: '/*' },
        { method: 'GET', path: '/admin/*', security: 'key' },
      ],
    });
    for (const path of ['//admin/x', '/admin;a=b/x', '/admin%3ba/x', '/a/%c0%ae%c0%ae/admin/x', '/./admin/x'])
      expect([path, (await call(gateway.port, 'GET', `/weather/v1${path}`)).code]).toEqual([path, 'bad_request']);
    expect((await call(gateway.port, 'GET', '/weather/v1/admin/x')).code).toBe('credential_missing');
    expect(upstream.requests).toEqual([]);
  });

  it('has the header edits of the API, in the order remove, set, add', async () => {
    load({
      policies: {
        requestHeaders: {
          remove: ['Cookie'],
          set: { 'X-Forwarded-Proto': 'https', 'X-A': 'new' },
          add: { 'X-B': 'second' },
        },
      },
    });
    await call(gateway.port, 'GET', '/weather/v1/a', { ...withKey, cookie: 'a=1', 'x-a': 'old', 'x-b': 'first' });
    expect(last().headers).toMatchObject({ 'x-forwarded-proto': 'https', 'x-a': 'new', 'x-b': 'first, second' });
    expect(last().headers.cookie).toBeUndefined();
  });

  it('has the request id that the caller gets, kept if it is harmless and made if not', async () => {
    load({});
    const kept = await call(gateway.port, 'GET', '/weather/v1/a', { ...withKey, 'x-request-id': 'abc-1.2' });
    expect([kept.headers['x-request-id'], last().headers['x-request-id']]).toEqual(['abc-1.2', 'abc-1.2']);
    for (const wrong of ['a b', '"', 'x'.repeat(129), '<script>']) {
      const made = await call(gateway.port, 'GET', '/weather/v1/a', { ...withKey, 'x-request-id': wrong });
      expect(made.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(last().headers['x-request-id']).toBe(made.headers['x-request-id']);
    }
  });

  it('is told the credential where the API wants that', async () => {
    load({ credential: { forward: true } });
    await call(gateway.port, 'GET', '/weather/v1/a', withKey);
    expect(last().headers['x-api-key']).toBe(KEY);
  });
});

describe('what comes back', () => {
  it('is status, fields and body as the upstream sent them, each field once more than hop by hop', async () => {
    load(
      {},
      await answering(
        'HTTP/1.1 418 Teapot\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-T: \xe9\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: x\r\nContent-Length: 3\r\n\r\nabc',
      ),
    );
    const text = await exchange(
      gateway.port,
      `GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX-API-Key: ${KEY}\r\nX-Request-Id: r1\r\nConnection: close\r\n\r\n`,
    );
    const [head = '', body] = text.split('\r\n\r\n');
    expect(body).toBe('abc');
    expect(head.replace(/Date: .*\r\n/, '').split('\r\n')).toEqual([
      "HTTP/1.1 418 I'm a Teapot",
      'Set-Cookie: a=1',
      'set-cookie: b=2',
      'X-T: \xe9',
      'Content-Length: 3',
      'X-Request-Id: r1',
      'Connection: close',
    ]);
  });

  it('has the header edits of the API, and fields that only the gateway may say', async () => {
    load(
      {
        policies: {
          responseHeaders: { remove: ['Server'], set: { 'X-A': 'new' } },
          cors: { origins: ['https://app.example.com'] },
        },
      },
      await answering(
        'HTTP/1.1 200 OK\r\nServer: x\r\nX-A: old\r\nX-Request-Id: forged\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nContent-Length: 0\r\n\r\n',
      ),
    );
    const answer = await call(gateway.port, 'GET', '/weather/v1/a', {
      ...withKey,
      origin: 'https://evil.example.com',
      'x-request-id': 'mine',
    });
    expect(answer.headers).toMatchObject({ 'x-a': 'new', 'x-request-id': 'mine', vary: 'Accept, Origin' });
    expect(answer.headers).not.toHaveProperty('server');
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('is only a head for HEAD, with the length that GET would have', async () => {
    load({}, await answering('HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n'));
    const answer = await call(gateway.port, 'HEAD', '/weather/v1/a', withKey);
    expect([answer.status, answer.headers['content-length'], answer.text]).toEqual([200, '1234', '']);
  });

  it.each([
    ['a length', 'Content-Length: 4\r\n\r\nbody'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n'],
    ['nothing', 'Content-Length: 0\r\n\r\n'],
  ])('is only a head for 205, whose length is 0, where the upstream sends %s', async (_, rest) => {
    load({}, await answering(`HTTP/1.1 205 Reset Content\r\n${rest}`));
    const request = `GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX-API-Key: ${KEY}\r\n`;
    const text = await exchange(gateway.port, `${request}\r\n`, `${request}Connection: close\r\n\r\n`);
    expect(text.match(/^HTTP\/1.1 205 /gm)).toHaveLength(2);
    expect(text.match(/^Content-Length: 0\r$/gm)).toHaveLength(2);
    expect(text).not.toMatch(/body|chunked/);
    expect(servers[0]?.sockets).toHaveLength(1);
  });

  it('skips interim answers', async () => {
    load(
      {},
      await answering('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
    );
    expect(await call(gateway.port, 'GET', '/weather/v1/a', withKey)).toMatchObject({ status: 200, text: 'ok' });
  });

  it('ends with the connection where neither length nor chunks are used on either side', async () => {
    const server = await rawServer((socket) =>
      socket.on('data', () => socket.end('HTTP/1.0 200 OK\r\n\r\nuntil the end')),
    );
    servers.push(server);
    load({}, server.url);
    expect((await call(gateway.port, 'GET', '/weather/v1/a', withKey)).text).toBe('until the end');
    const old = await exchange(gateway.port, `GET /weather/v1/a HTTP/1.0\r\nX-API-Key: ${KEY}\r\n\r\n`);
    expect(old).toMatch(/^HTTP\/1.1 200 OK\r\n(?![\s\S]*Transfer-Encoding)[\s\S]*\r\n\r\nuntil the end$/);
  });

  it('answers of its own are problem documents that name the request, and keep the connection', async () => {
    load({});
    const requests = [
      'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\nX-Request-Id: r1\r\n\r\n',
      `GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    ];
    const [first = '', second = ''] = (await exchange(gateway.port, ...requests)).split(/(?=HTTP\/1.1 404)/);
    expect(first).toMatch(
      /^HTTP\/1.1 401 Unauthorized\r\nContent-Type: application\/problem\+json; charset=utf-8\r\nWWW-Authenticate: Bearer realm="weather:v1"\r\nContent-Length: \d+\r\nX-Request-Id: r1\r\n/,
    );
    expect(JSON.parse(first.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      type: 'urn:heliograph:error:credential_missing',
      title: 'A credential is needed',
      status: 401,
      code: 'credential_missing',
      requestId: 'r1',
    });
    expect(second).toMatch(/"code":"no_such_api","status":404/);
  });

  it('is a mock without an upstream', async () => {
    load({ policies: { mock: { status: 203, headers: { 'X-M': '1' }, body: 'h\u00e9' } } });
    expect(await call(gateway.port, 'GET', '/weather/v1/a', withKey)).toMatchObject({ status: 203, text: 'h\u00e9' });
    expect(upstream.requests).toEqual([]);
  });
});
