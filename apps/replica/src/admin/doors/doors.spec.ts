import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import { MemoryState } from '../../testing/memory-state.js';
import { APPLICATION, applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { planOp } from '../../testing/sample-ops.js';
import { call, type Answered } from '../../testing/clients.js';
import { type AdminApp, listenAdmin } from '../admin-app.js';
import { Ask } from '../ask.service.js';
import type { Node } from '../node.js';

const KEY = 'hg_live_test';
const log = createLog('test', 'silent');
let memory: MemoryState;
let ask: Ask;
let app: AdminApp;
let url: string;

beforeEach(async () => {
  memory = new MemoryState();
  ask = new Ask('eu-west', memory, new LocalCounterStore(systemClock), log);
  app = await listenAdmin({ node: {} as Node, ask, log, port: 0, host: '127.0.0.1' });
  url = `http://127.0.0.1:${app.port}`;
});

afterEach(async () => {
  await app.close();
  ask.close();
  expect(memory.open).toBe(0);
});

function load(limits: object = {}): void {
  memory.apply(
    placed(
      definitionOf({
        routes: [
          { method: 'GET', path: '/today' },
          { method: 'GET', path: '/open', security: 'open' },
        ],
        policies: { ip: { deny: ['198.51.100.0/24'] } },
      }),
    ),
  );
  memory.apply(
    planOp('gold', { rate: null, quota: null, ...limits }),
    applicationOp({ 'weather:v1': 'gold' }),
    keyOp(KEY),
    keyOp('revoked', { revoked: true }),
    keyOp('until', { expiresAt: 4_102_444_800_000 }),
  );
}

const auth = (headers: Record<string, string>, method = 'GET'): Promise<Response> =>
  fetch(`${url}/auth`, { method, headers });
const today = { 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/weather/v1/today?a=1', 'x-api-key': KEY };

async function validate(body: unknown): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${url}/validate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

describe('GET /auth', () => {
  it('says who may, for which API, on which plan', async () => {
    load();
    const response = await auth(today);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-heliograph-application': APPLICATION,
      'x-heliograph-plan': 'gold',
      'x-heliograph-api': 'weather:v1',
    });
    const open = await auth({ 'x-original-method': 'GET', 'x-original-uri': '/weather/v1/open' });
    expect([open.status, open.headers.get('x-heliograph-api'), open.headers.get('x-heliograph-plan')]).toEqual([
      200,
      'weather:v1',
      null,
    ]);
  });

  it('gives the answer that the gateway would give', async () => {
    load();
    const refused = async (headers: Record<string, string>): Promise<string> => {
      const response = await auth(headers);
      expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      const document = (await response.json()) as { status: number; code: string };
      expect(document.status).toBe(response.status);
      return `${response.status} ${document.code}`;
    };
    expect(await refused({ ...today, 'x-api-key': 'nobody' })).toBe('401 credential_unknown');
    expect(await refused({ ...today, 'x-api-key': 'revoked' })).toBe('401 credential_revoked');
    expect(await refused({ ...today, 'x-forwarded-uri': '/nowhere' })).toBe('404 no_such_api');
    expect(await refused({ ...today, 'x-forwarded-uri': '/weather/v1/../v1/today' })).toBe('400 bad_request');
    expect(await refused({ ...today, 'x-forwarded-method': 'PUT' })).toBe('405 method_not_allowed');
    expect(await refused({ ...today, 'heliograph-min-revision': 'prod@99' })).toBe('425 behind_min_revision');
    expect(await refused({ ...today, 'x-forwarded-for': '192.0.2.1, 198.51.100.7' })).toBe('403 ip_denied');
    expect((await auth({ ...today, 'x-forwarded-for': '198.51.100.7, 192.0.2.1' })).status).toBe(200);
    const missing = await auth({ 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/weather/v1/today' });
    expect(missing.headers.get('www-authenticate')).toBe('Bearer realm="weather:v1"');
  });

  it('counts against the limits', async () => {
    load({ rate: { limit: 2, per: 'hour' } });
    const statuses = [(await auth(today)).status, (await auth(today, 'POST')).status];
    const refused = await auth(today);
    expect([...statuses, refused.status]).toEqual([200, 200, 429]);
    expect(Object.fromEntries(refused.headers)).toMatchObject({
      'retry-after': '1800',
      ratelimit: '"rate";r=0;t=3600',
    });
  });

  it('refuses to guess which request is meant', async () => {
    load();
    const response = await auth({ 'x-forwarded-uri': '/weather/v1/today' });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      code: 'invalid_request',
      errors: [{ field: 'X-Forwarded-Method', problem: 'is missing' }],
    });
  });

  it('believes no pair of fields more than the other: a proxy may pass on what its client sent', async () => {
    load();
    const original = { 'x-original-method': 'GET', 'x-original-uri': '/weather/v1/today' };
    const forged = { 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/weather/v1/open' };
    const answer = async (...parts: Record<string, string>[]): Promise<string> => {
      const response = await auth(Object.assign({}, ...parts));
      const { code, detail } = (await response.json()) as { code: string; detail: string };
      return `${response.status} ${code}: ${detail}`;
    };
    expect(await answer(original)).toMatch(/^401 credential_missing/);
    expect(await answer(original, forged)).toMatch(/^400 bad_request: X-Original-URI and X-Forwarded-Uri do not say/);
    expect(await answer(original, { ...forged, 'x-forwarded-method': 'POST' })).toMatch(
      /^400 bad_request: X-Original-Method and X-Forwarded-Method do not say the same/,
    );
    expect(await answer(original, { 'x-forwarded-uri': '/weather/v1/today' })).toMatch(/^400 invalid_request/);
    expect(await answer({ 'x-original-uri': '/weather/v1/today', 'x-forwarded-method': 'GET' })).toMatch(
      /^400 invalid_request/,
    );
    const same = { 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/weather/v1/today', 'x-api-key': KEY };
    expect((await auth({ ...original, ...same })).status).toBe(200);
    const twice = { ...today, 'x-forwarded-uri': ['/weather/v1/open', '/weather/v1/today'] };
    expect((await call(app.port, 'GET', '/auth', twice)).code).toBe('bad_request');
  });

  it('looks at no body, whatever it is said to be', async () => {
    load();
    const asked = (method: string, headers: Record<string, string>, body?: string): Promise<Answered> =>
      call(app.port, method, '/auth?x', { ...today, ...headers }, body);
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
      for (const type of ['application/json', 'multipart/form-data; boundary=x', 'nonsense', 'text/plain'])
        for (const length of [{ 'content-length': '0' }, {}] as Record<string, string>[])
          expect([method, type, (await asked(method, { 'content-type': type, ...length })).status]).toEqual([
            method,
            type,
            200,
          ]);
    expect((await asked('POST', { 'content-type': 'application/json' }, '{')).status).toBe(200);
    expect((await asked('POST', { 'transfer-encoding': 'chunked' }, 'x'.repeat(2_000_000))).status).toBe(200);
    expect((await asked('POST', { 'content-type': 'a/b', 'x-api-key': 'nobody' }, 'x')).code).toBe(
      'credential_unknown',
    );
  });
});

describe('POST /validate', () => {
  it('answers one question', async () => {
    load();
    const question = { method: 'GET', path: '/weather/v1/today', key: KEY };
    expect(await validate(question)).toEqual({
      status: 200,
      body: {
        valid: true,
        application: APPLICATION,
        api: 'weather',
        version: 'v1',
        plan: 'gold',
        expiresAt: null,
        revision: 'prod@2',
      },
    });
    expect(await validate({ ...question, key: 'revoked' })).toEqual({
      status: 200,
      body: { valid: false, status: 401, code: 'credential_revoked' },
    });
    expect((await validate({ method: 'GET', path: '/weather/v1/today', token: 'until' })).body).toMatchObject({
      valid: true,
      expiresAt: '2100-01-01T00:00:00.000Z',
    });
    expect((await validate({ method: 'GET', path: '/weather/v1/open' })).body).toMatchObject({
      valid: true,
      application: null,
      plan: null,
    });
    expect((await validate({ method: 'GET', path: '/weather/v1/today' })).body).toEqual({
      valid: false,
      status: 401,
      code: 'credential_missing',
    });
  });

  it('answers a list in its order', async () => {
    load();
    const items = Array.from({ length: 1000 }, (_, i) => ({
      method: 'GET',
      path: '/weather/v1/today',
      key: i % 2 === 0 ? KEY : 'nobody',
    }));
    const { status, body } = await validate({ items });
    const verdicts = (body as { items: { valid: boolean }[] }).items;
    expect([status, verdicts.length]).toEqual([200, 1000]);
    expect(verdicts.map(({ valid }) => valid)).toEqual(items.map(({ key }) => key === KEY));
  });

  it('spends nothing unless it is told to', async () => {
    load({ rate: { limit: 2, per: 'hour' } });
    const question = { method: 'GET', path: '/weather/v1/today', key: KEY };
    for (let i = 0; i < 5; i++) expect((await validate(question)).body).toMatchObject({ valid: true });
    const { body } = await validate({ items: [question, question, question], spend: true });
    expect(body).toMatchObject({
      items: [{ valid: true }, { valid: true }, { valid: false, status: 429, code: 'rate_limited' }],
    });
  });

  it('goes by the newest revision as soon as it is there', async () => {
    load();
    const question = { method: 'GET', path: '/weather/v1/today', key: 'later' };
    expect((await validate(question)).body).toMatchObject({ code: 'credential_unknown' });
    memory.apply(keyOp('later'));
    expect((await validate(question)).body).toMatchObject({ valid: true, revision: 'prod@3' });
    memory.apply(keyOp('later', { revoked: true }));
    ask.announce();
    expect(memory.open).toBe(1);
    expect((await validate(question)).body).toMatchObject({ code: 'credential_revoked' });
  });

  it('names every fault of its input', async () => {
    load();
    const fields = async (body: unknown): Promise<string[]> => {
      const answer = await validate(body);
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_request' } });
      return (answer.body as { errors: { field: string; problem: string }[] }).errors.map(
        ({ field, problem }) => `${field}: ${problem}`,
      );
    };
    expect(await fields({ method: 'get', path: 'x', kee: 'a', spend: 1 })).toEqual([
      'method: must be an HTTP method in upper case, like GET',
      'path: must begin with /',
      'spend: must be true or false',
      'kee: is not a known field',
    ]);
    expect(await fields({ method: 'GET', path: '/', key: 'a', token: 'b' })).toEqual(['token: is given beside key']);
    expect(
      await fields({
        items: [
          { method: 'GET', path: '/' },
          { method: 'GET', path: '/', key: 'a', token: 'b' },
        ],
      }),
    ).toEqual(['items[1].token: is given beside key']);
    expect(await fields({ items: [] })).toEqual(['items: must have at least one item']);
    expect(await fields({ items: Array.from({ length: 1001 }, () => ({ method: 'GET', path: '/' })) })).toEqual([
      'items: must have at most 1000 items',
    ]);
    expect(await fields(7)).toEqual(['(whole): must be an object with method and path, or one with items']);
  });

  it('has nothing to say before a revision is loaded', async () => {
    expect((await validate({ method: 'GET', path: '/weather/v1/today', key: KEY })).body).toEqual({
      valid: false,
      status: 503,
      code: 'not_ready',
    });
  });
});
