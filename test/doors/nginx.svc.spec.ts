import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { describeWith, type Nginx, type RecordingUpstream, recordingUpstream, startNginx } from '#harness';
import { createLog } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import { type AdminApp, listenAdmin } from '../../apps/replica/src/admin/admin-app.js';
import { Ask } from '../../apps/replica/src/admin/ask.service.js';
import type { Node } from '../../apps/replica/src/admin/node.js';
import { type Answered, call } from '../../apps/replica/src/testing/clients.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed } from '../../apps/replica/src/testing/gateway-ops.js';
import { MemoryState } from '../../apps/replica/src/testing/memory-state.js';
import { planOp } from '../../apps/replica/src/testing/sample-ops.js';

const KEY = 'hg_live_test';
const SCARCE = '0b5ad1ce-8f0d-4a35-9d7e-000000000002';
const log = createLog('test', 'silent');

/** What docs/doors.md tells people to write, with the ports of this test. */
function documented(admin: number, upstream: number): { http: string; server: string } {
  const text = readFileSync(new URL('../../docs/doors.md', import.meta.url), 'utf8');
  const [http = '', server = ''] = [...text.matchAll(/```nginx\n([\s\S]*?)```/g)].map(([, block]) => block ?? '');
  const here = (block: string): string =>
    block
      .replaceAll('127.0.0.1:9180', `127.0.0.1:${admin}`)
      .replaceAll('weather.internal:8080', `127.0.0.1:${upstream}`);
  return { http: here(http), server: here(server) };
}

describeWith('nginx', 'nginx with auth_request, as docs/doors.md has it', () => {
  let memory: MemoryState;
  let ask: Ask;
  let admin: AdminApp;
  let upstream: RecordingUpstream;
  let nginx: Nginx;

  beforeAll(async () => {
    memory = new MemoryState();
    ask = new Ask('eu-west', memory, new LocalCounterStore(systemClock), log);
    admin = await listenAdmin({ node: {} as Node, ask, log, port: 0, host: '127.0.0.1' });
    upstream = await recordingUpstream();
    nginx = await startNginx(documented(admin.port, Number(new URL(upstream.url).port)));
    memory.apply(
      placed(
        definitionOf({
          routes: [
            { method: 'GET', path: '/today' },
            { method: 'POST', path: '/notes' },
            { method: 'GET', path: '/open', security: 'open' },
            { method: '*', path: '/any', policies: { cors: { origins: ['*'] } } },
            { method: 'GET', path: '/mocked', security: 'open', policies: { mock: { status: 200 } } },
          ],
        }),
      ),
      placed(definitionOf({ name: 'news', context: '/news/v1', routes: [{ method: 'GET', path: '/' }] })),
    );
    memory.apply(
      planOp('gold', { rate: null, quota: null }),
      planOp('scarce', { rate: { limit: 2, per: 'hour' }, quota: null }),
      applicationOp({ 'weather:v1': 'gold' }),
      applicationOp({ 'weather:v1': 'scarce' }, SCARCE),
      keyOp(KEY),
      keyOp('revoked', { revoked: true }),
      keyOp('scarce', { application: SCARCE }),
    );
  });

  afterAll(async () => {
    await nginx.stop();
    await admin.close();
    ask.close();
    await upstream.close();
  });

  beforeEach(() => {
    upstream.requests.length = 0;
  });

  const get = (path: string, headers: Record<string, string> = {}): Promise<Answered> =>
    call(nginx.port, 'GET', path, headers);
  const keyed = { 'x-api-key': KEY };

  it('lets a request through that may pass, and tells the upstream whose it is', async () => {
    const forged = { 'x-heliograph-plan': 'platinum', 'x-request-id': 'mine' };
    expect((await get('/weather/v1/today?units=metric', { ...keyed, ...forged })).status).toBe(200);
    const body = 'x'.repeat(100_000);
    expect((await call(nginx.port, 'POST', '/weather/v1/notes', keyed, body)).status).toBe(200);
    expect((await get('/weather/v1/open', forged)).status).toBe(200);
    const [today, notes, open] = upstream.requests;
    expect([today?.method, today?.url]).toEqual(['GET', '/weather/v1/today?units=metric']);
    expect(today?.headers).toMatchObject({
      'x-heliograph-application': APPLICATION,
      'x-heliograph-plan': 'gold',
      'x-request-id': 'mine',
    });
    expect(today?.headers['x-api-key']).toBeUndefined();
    expect(notes?.body.toString()).toBe(body);
    expect(open?.headers['x-heliograph-plan']).toBeUndefined();
  });

  it('keeps every credential that a field carries from the upstream', async () => {
    expect((await get('/weather/v1/today', keyed)).status).toBe(200);
    expect((await get('/weather/v1/today', { authorization: `Bearer ${KEY}` })).status).toBe(200);
    expect((await get('/weather/v1/today', { ...keyed, authorization: `bearer ${KEY}` })).status).toBe(200);
    expect(upstream.requests).toHaveLength(3);
    expect(JSON.stringify(upstream.requests.map(({ url, headers }) => [url, headers]))).not.toContain(KEY);
  });

  it('says which methods there are, with a 405', async () => {
    const refused = await call(nginx.port, 'DELETE', '/weather/v1/notes', keyed);
    expect([refused.status, refused.headers.allow]).toEqual([405, 'POST']);
    expect((await get('/weather/v1/today')).headers.allow).toBeUndefined();
  });

  it('lets no preflight through that has no key', async () => {
    const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' };
    expect((await call(nginx.port, 'OPTIONS', '/weather/v1/any', preflight)).code).toBe('credential_missing');
    expect((await get('/weather/v1/mocked')).code).toBe('gateway_only');
    expect(upstream.requests).toEqual([]);
  });

  it('gives the caller the status and the code of a refusal, whatever auth_request makes of them', async () => {
    const refused = async (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<string> => {
      const answer = await call(nginx.port, method, path, headers);
      expect(answer.headers['content-type']).toBe('application/problem+json');
      const { status, requestId } = JSON.parse(answer.text) as { status: number; requestId: string };
      expect([status, requestId]).toEqual([answer.status, answer.headers['x-request-id']]);
      return `${status} ${answer.code}`;
    };
    expect(await refused('/weather/v1/today')).toBe('401 credential_missing');
    expect(await refused('/weather/v1/today', { 'x-api-key': 'nobody' })).toBe('401 credential_unknown');
    expect(await refused('/weather/v1/today', { authorization: 'Bearer revoked' })).toBe('401 credential_revoked');
    expect(await refused('/news/v1', keyed)).toBe('403 not_subscribed');
    expect(await refused('/nowhere', keyed)).toBe('404 no_such_api');
    expect(await refused('/weather/v1/today', keyed, 'DELETE')).toBe('405 method_not_allowed');
    expect(await refused('/weather/v1/today', { ...keyed, 'heliograph-min-revision': 'prod@99' })).toBe(
      '425 behind_min_revision',
    );
    const challenged = await get('/weather/v1/today');
    expect(challenged.headers['www-authenticate']).toBe('Bearer realm="weather:v1"');
    expect(upstream.requests).toEqual([]);
  });

  it('counts each request once, and says 429 and when to come again', async () => {
    const scarce = { 'x-api-key': 'scarce' };
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await get('/weather/v1/today', scarce));
    expect(answers.map(({ status, code }) => `${status} ${code}`)).toEqual([
      '200 undefined',
      '200 undefined',
      '429 rate_limited',
    ]);
    expect(answers.map(({ headers }) => headers['ratelimit'])).toEqual([
      expect.stringMatching(/^"rate";r=1;/),
      expect.stringMatching(/^"rate";r=0;/),
      expect.stringMatching(/^"rate";r=0;/),
    ]);
    expect(answers[2]?.headers['retry-after']).toMatch(/^(1799|1800)$/);
    expect(upstream.requests).toHaveLength(2);
  });

  it('decides about the request that came, whatever fields its client made up', async () => {
    const forged = {
      'x-original-method': 'GET',
      'x-original-uri': '/weather/v1/open',
      'x-forwarded-method': 'GET',
      'x-forwarded-uri': '/weather/v1/open',
    };
    expect((await get('/weather/v1/today', forged)).code).toBe('credential_missing');
    expect((await get('/weather/v1/today', { ...forged, ...keyed })).status).toBe(200);
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/weather/v1/today']);
  });

  it.each([
    '/weather/v1/open/../today',
    '/weather/v1/open/%2e%2e/today',
    '/weather/v1/%2e/today',
    '/weather/v1//today',
    '/weather/v1/open%2f..%2ftoday',
    '/weather/v1/open;/../today',
    '/weather/v1/today%5c..%5copen',
    '/weather/v1/open%00',
    '/../weather/v1/today',
  ])('passes no path on that two servers may read differently: %s', async (path) => {
    expect((await get(path, keyed)).status).toBe(400);
    expect(upstream.requests).toEqual([]);
  });

  it('lets nothing through when no replica answers', async () => {
    const gone = await startNginx(documented(1, Number(new URL(upstream.url).port)));
    const answer = await call(gone.port, 'GET', '/weather/v1/open');
    expect([answer.status, answer.code]).toEqual([503, 'not_ready']);
    expect(upstream.requests).toEqual([]);
    await gone.stop();
  });
});
