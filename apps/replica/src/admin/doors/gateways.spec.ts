import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import { type Answered, call, exchange, RawClient } from '../../testing/clients.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { MemoryState } from '../../testing/memory-state.js';
import { planOp } from '../../testing/sample-ops.js';
import { type AdminApp, listenAdmin } from '../admin-app.js';
import { Ask } from '../ask.service.js';
import type { Node } from '../node.js';

const KEY = 'hg_live_test';
let app: AdminApp;
let ask: Ask;

beforeAll(async () => {
  const log = createLog('test', 'silent');
  const memory = new MemoryState();
  memory.apply(
    placed(
      definitionOf({
        routes: [
          { method: 'GET', path: '/today' },
          { method: 'POST', path: '/notes' },
          { method: 'GET', path: '/open', security: 'open' },
        ],
        policies: { ip: { deny: ['198.51.100.0/24'] } },
      }),
    ),
    planOp('gold', { rate: null, quota: null }),
    applicationOp({ 'weather:v1': 'gold' }),
    keyOp(KEY),
  );
  ask = new Ask('eu-west', memory, new LocalCounterStore(systemClock), log);
  const node = { status: () => ({ loaded: 1 }), metrics: () => Promise.resolve('# none\n') } as unknown as Node;
  app = await listenAdmin({ node, ask, log, port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await app.close();
  ask.close();
});

const asks = (method: string, path: string, headers: Record<string, string>, body?: string): Promise<Answered> =>
  call(app.port, method, path, headers, body);

describe('what forward-auth of Traefik and APISIX sends', () => {
  const forwarded = {
    'x-forwarded-method': 'POST',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'api.example.com',
    'x-forwarded-uri': '/weather/v1/notes?a=1',
    'x-forwarded-for': '192.0.2.1',
    'x-api-key': KEY,
  };

  it('is answered 200 with whose it is, or refused with a document that says why', async () => {
    const allowed = await asks('GET', '/auth', forwarded);
    expect(allowed.status).toBe(200);
    expect(allowed.headers).toMatchObject({
      'x-heliograph-application': APPLICATION,
      'x-heliograph-plan': 'gold',
      'x-heliograph-api': 'weather:v1',
      'content-length': '0',
    });
    const refused = await asks('GET', '/auth', { ...forwarded, 'x-api-key': 'nobody' });
    expect([refused.status, refused.code]).toEqual([401, 'credential_unknown']);
    expect(refused.headers).toMatchObject({
      'x-heliograph-code': 'credential_unknown',
      'www-authenticate': 'Bearer realm="weather:v1", error="invalid_token"',
    });
  });

  it('goes by the host of nobody, and by the address that the proxy saw', async () => {
    expect((await asks('GET', '/auth', { ...forwarded, 'x-forwarded-host': 'evil' })).status).toBe(200);
    const denied = { ...forwarded, 'x-forwarded-for': '192.0.2.1, 198.51.100.9' };
    expect((await asks('GET', '/auth', denied)).code).toBe('ip_denied');
  });

  it('is refused when fields of nginx come with it, which only a client can have sent', async () => {
    const forged = { ...forwarded, 'x-original-method': 'GET', 'x-original-uri': '/weather/v1/open' };
    expect((await asks('GET', '/auth', forged)).code).toBe('bad_request');
  });
});

describe('what ext_authz of Envoy sends', () => {
  it('is decided by its own method and path, behind /auth', async () => {
    const keyed = { 'x-api-key': KEY };
    expect((await asks('GET', '/auth/weather/v1/today?units=metric', keyed)).status).toBe(200);
    expect((await asks('POST', '/auth/weather/v1/notes', { ...keyed, 'content-length': '0' })).status).toBe(200);
    expect((await asks('HEAD', '/auth/weather/v1/today', keyed)).status).toBe(200);
    expect((await asks('DELETE', '/auth/weather/v1/today', keyed)).code).toBe('method_not_allowed');
    expect((await asks('GET', '/auth/weather/v1/today', {})).code).toBe('credential_missing');
    expect((await asks('GET', '/auth/', keyed)).code).toBe('no_such_api');
    expect((await asks('GET', '/authority', keyed)).code).toBe('not_found');
  });

  it('is not changed by fields that a client made up', async () => {
    const forged = {
      'x-forwarded-method': 'GET',
      'x-forwarded-uri': '/weather/v1/open',
      'x-original-method': 'GET',
      'x-original-uri': '/weather/v1/open',
    };
    expect((await asks('GET', '/auth/weather/v1/today', forged)).code).toBe('credential_missing');
    expect((await asks('GET', '/auth/weather/v1/open', forged)).status).toBe(200);
  });

  it.each(['/auth/../status', '/auth//weather/v1/open', '/auth/weather/v1/%2e%2e/open', '/auth/weather/v1/open%2f'])(
    'is read as strictly as by the gateway: %s',
    async (path) => {
      expect((await asks('GET', path, { 'x-api-key': KEY })).code).toBe('bad_request');
    },
  );
});

describe('the admin port', () => {
  it('answers what was sent ahead in its order, whoever answers it', async () => {
    const client = await RawClient.open(app.port);
    const question = JSON.stringify({ method: 'GET', path: '/weather/v1/today', key: KEY });
    const head = (first: string, more = ''): string => `${first} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
    const json = `Content-Type: application/json\r\nContent-Length: ${question.length}\r\n`;
    client.write(
      head('GET /livez') +
        head('POST /validate', json) +
        question +
        head('GET /auth/weather/v1/open') +
        head('POST /validate', 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n') +
        `${question.length.toString(16)}\r\n${question}\r\n0\r\n\r\n` +
        head('POST /validate', json) +
        question.replace('{', '[') +
        head('GET /metrics', 'Connection: close\r\n'),
    );
    const text = await client.end();
    expect(text.match(/HTTP\/1.1 \d+/g)).toEqual([200, 200, 200, 200, 400, 200].map((status) => `HTTP/1.1 ${status}`));
    expect(text.match(/"status":"ok"|"valid":true|x-heliograph-api|"code":"malformed_json"|# none/gi)).toEqual([
      '"status":"ok"',
      '"valid":true',
      'X-Heliograph-Api',
      '"valid":true',
      '"code":"malformed_json"',
      '# none',
    ]);
  });

  it('G4 keeps no more of a body than it may have, however it comes', async () => {
    const json = { 'content-type': 'application/json' };
    const large = 'x'.repeat(1024 * 1024 + 1);
    expect((await asks('POST', '/validate', json, large)).code).toBe('body_too_large');
    expect((await asks('POST', '/validate', { ...json, 'transfer-encoding': 'chunked' }, large)).code).toBe(
      'body_too_large',
    );
    expect((await asks('POST', '/validate', json)).code).toBe('malformed_json');
    expect((await asks('POST', '/validate', {}, '{}')).code).toBe('unsupported_media_type');
    expect((await asks('POST', '/validate', { 'content-type': 'application/jsonp' }, '{}')).code).toBe(
      'unsupported_media_type',
    );
    const broken = Buffer.from('{"method":"GET","path":"/\xff"}', 'latin1');
    expect((await call(app.port, 'POST', '/validate', json, broken)).code).toBe('malformed_json');
  });

  it("G1 is read by the gateway's own strict parser", async () => {
    for (const [text, status] of [
      ['GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
      ['POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
      ['GET http://a/auth/weather/v1/open HTTP/1.1\r\nHost: a\r\n\r\n', 400],
      ['GET /livez HTTP/1.1\nHost: a\n\n', 400],
      ['GET /livez HTTP/2.0\r\nHost: a\r\n\r\n', 505],
    ] as const)
      expect([text, await exchange(app.port, text)]).toEqual([text, expect.stringMatching(`^HTTP/1.1 ${status} `)]);
  });
});
