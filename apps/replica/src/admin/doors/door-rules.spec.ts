import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readExposition } from '#harness';
import type { ReplicaStatus } from '#model';
import { createLog } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import { ReplicaMetrics } from '../../telemetry/replica-metrics.js';
import { type Answered, call, exchange } from '../../testing/clients.js';
import { applicationOp, definitionOf, keyOp, placed } from '../../testing/gateway-ops.js';
import { MemoryState } from '../../testing/memory-state.js';
import { planOp } from '../../testing/sample-ops.js';
import { type AdminApp, listenAdmin } from '../admin-app.js';
import { Ask } from '../ask.service.js';
import type { Node } from '../node.js';

const KEY = 'hg_live_test';
let app: AdminApp;
let ask: Ask;

beforeEach(async () => {
  const log = createLog('test', 'silent');
  const memory = new MemoryState();
  memory.apply(
    placed(
      definitionOf({
        routes: [
          { method: 'GET', path: '/today' },
          { method: '*', path: '/any' },
          { method: 'GET', path: '/open', security: 'open' },
          { method: 'GET', path: '/gone', policies: { mock: { status: 410, body: 'gone' } } },
          { method: 'GET', path: '/health', security: 'open', policies: { mock: { status: 200, body: 'ok' } } },
        ],
        policies: { cors: { origins: ['https://app.example.com'] }, ip: { deny: ['198.51.100.0/24'] } },
      }),
    ),
    planOp('gold', { rate: null, quota: null }),
    applicationOp({ 'weather:v1': 'gold' }),
    keyOp(KEY),
  );
  ask = new Ask('eu-west', memory, new LocalCounterStore(systemClock), log);
  const who = { environment: 'prod', replica: 'a', build: '1' };
  const status = {
    ...who,
    revision: 1,
    head: 1,
    nacks: [],
    state: 'live',
    freshness: 'fresh',
  } as unknown as ReplicaStatus;
  const certificates = { status: [] };
  const metrics = new ReplicaMetrics(
    'eu-west',
    () => status,
    () => 0,
    certificates,
    ask.decisions,
    {
      counts: { shared: 0, local: 0, late: 0, failed: 0 },
      status: 'local',
      hasRedis: false,
      onAnswer: () => undefined,
    },
  );
  const node = { metrics: () => metrics.registry.metrics() };
  app = await listenAdmin({ node: node as unknown as Node, ask, log, port: 0, host: '127.0.0.1' });
});

afterEach(async () => {
  await app.close();
  ask.close();
});

const asks = (method: string, path: string, headers: Record<string, string> = {}): Promise<Answered> =>
  call(app.port, method, path, headers);
const keyed = { 'x-api-key': KEY };

describe('what the gateway answers without an upstream', () => {
  const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' };
  const asEachAsks = async (path: string, headers: Record<string, string>): Promise<string[]> => {
    const answers = [
      await asks('OPTIONS', `/auth${path}`, headers),
      await asks('GET', '/auth', { 'x-forwarded-method': 'OPTIONS', 'x-forwarded-uri': path, ...headers }),
      await asks('GET', '/auth', { 'x-original-method': 'OPTIONS', 'x-original-uri': path, ...headers }),
    ];
    return [...new Set(answers.map(({ status, code }) => `${status} ${code}`))];
  };

  it('is refused by /auth without a credential, when it is a preflight', async () => {
    expect(await asEachAsks('/weather/v1/any', preflight)).toEqual(['401 credential_missing']);
    expect(await asEachAsks('/weather/v1/any', { ...preflight, 'x-api-key': 'nobody' })).toEqual([
      '401 credential_unknown',
    ]);
    expect(await asEachAsks('/weather/v1/any', { ...preflight, ...keyed })).toEqual(['200 undefined']);
  });

  it('is held to routes and IP lists by /auth, when it is a preflight', async () => {
    expect(await asEachAsks('/weather/v1/today', { ...preflight, ...keyed })).toEqual(['405 method_not_allowed']);
    expect(await asEachAsks('/weather/v1/open', preflight)).toEqual(['405 method_not_allowed']);
    const denied = { ...preflight, ...keyed, 'x-forwarded-for': '198.51.100.9' };
    expect(await asEachAsks('/weather/v1/any', denied)).toEqual(['403 ip_denied']);
  });

  it('is refused by /auth when it is a mock, whatever its status, after all other checks', async () => {
    const health = await asks('GET', '/auth/weather/v1/health');
    expect([health.status, health.code, health.headers['x-heliograph-code']]).toEqual([
      403,
      'gateway_only',
      'gateway_only',
    ]);
    expect((await asks('GET', '/auth/weather/v1/gone', keyed)).code).toBe('gateway_only');
    expect((await asks('GET', '/auth/weather/v1/gone')).code).toBe('credential_missing');
  });
});

describe('a refusal at the doors', () => {
  it('has its code in a field as well, for a question that cannot be read too', async () => {
    const code = async (headers: Record<string, string>): Promise<unknown> => {
      const answer = await asks('GET', '/auth', headers);
      expect(answer.headers['x-heliograph-code']).toBe(answer.code);
      return answer.code;
    };
    expect(await code({ 'x-original-uri': '/weather/v1/open' })).toBe('invalid_request');
    const original = { 'x-original-method': 'GET', 'x-original-uri': '/weather/v1/open' };
    expect(await code({ ...original, 'x-forwarded-method': 'PUT', 'x-forwarded-uri': '/' })).toBe('bad_request');
    expect(await exchange(app.port, 'GET /auth HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')).toMatch(
      /^HTTP\/1.1 400 [^]*\r\nX-Heliograph-Code: bad_request\r\n/,
    );
  });
});

describe('what was decided', () => {
  const counted = async (): Promise<Record<string, number>> => {
    const family = readExposition((await asks('GET', '/metrics')).text).get('heliograph_door_decisions_total');
    const named = ([series, count]: [string, number]): [string, number] => {
      const [, code, door] = /\{code="(\w+)",door="(\w+)",region="eu-west"\}/.exec(series) ?? [];
      return [`${door} ${code}`, count];
    };
    return Object.fromEntries([...(family?.samples ?? [])].map(named));
  };

  it('is counted by door and code, each question of a list too', async () => {
    expect(await counted()).toEqual({ 'auth allowed': 0, 'validate allowed': 0 });
    await asks('GET', '/auth/weather/v1/today', keyed);
    await asks('GET', '/auth/weather/v1/open');
    await asks('GET', '/auth/weather/v1/today');
    await asks('GET', '/auth/weather/v1/health');
    await asks('GET', '/auth');
    await asks('GET', '/validate');
    await asks('GET', '/nowhere');
    const items = [KEY, 'nobody', KEY].map((key) => ({ method: 'GET', path: '/weather/v1/today', key }));
    const json = { 'content-type': 'application/json' };
    await call(app.port, 'POST', '/validate', json, JSON.stringify({ items }));
    expect(await counted()).toEqual({
      'auth allowed': 2,
      'auth credential_missing': 1,
      'auth gateway_only': 1,
      'auth invalid_request': 1,
      'validate method_not_allowed': 1,
      'validate allowed': 2,
      'validate credential_unknown': 1,
    });
  });
});
