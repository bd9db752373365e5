import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type RecordingUpstream, recordingUpstream } from '#harness';
import { planOp } from '../../testing/sample-ops.js';
import { type Answered, call } from '../../testing/clients.js';
import { TestGateway } from '../../testing/test-gateway.js';
import { applicationOp, definitionOf, keyOp, placed, SUBSCRIPTION } from '../../testing/gateway-ops.js';

const KEY = 'hg_live_test';
/** At noon, and for ever: no token comes back while a slow machine answers. */
const CLOCK = { wallMs: () => Date.parse('2026-05-02T12:00:00Z'), monotonicMs: () => 1_000 };
let gateway: TestGateway;
let upstream: RecordingUpstream;

beforeEach(async () => {
  upstream = await recordingUpstream();
  gateway = new TestGateway(null, CLOCK);
  await gateway.listen();
});

afterEach(async () => {
  await gateway.stop();
  await upstream.close();
});

function load(limits: object): void {
  gateway.load(
    placed(definitionOf({ upstream: { targets: [{ url: upstream.url }] } })),
    planOp('gold', limits),
    applicationOp({ 'weather:v1': 'gold' }),
    keyOp(KEY),
  );
}

const get = (): Promise<Answered> => call(gateway.port, 'GET', '/weather/v1/today', { 'x-api-key': KEY });
const many = (count: number): Promise<Answered[]> => Promise.all(Array.from({ length: count }, get));

describe('limits', () => {
  it('T1 admit exactly the burst, and say in every answer what is left', async () => {
    load({ rate: { limit: 10, per: 'hour' }, quota: null });
    const answers = await many(30);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(upstream.requests).toHaveLength(10);
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(20);
    for (const { headers, text } of refused) {
      expect(headers).toMatchObject({
        'ratelimit-policy': '"rate";q=10;w=3600',
        ratelimit: '"rate";r=0;t=3600',
        'retry-after': '360',
      });
      expect(JSON.parse(text)).toMatchObject({ code: 'rate_limited', status: 429 });
    }
    expect(answers.find(({ status }) => status === 200)?.headers['ratelimit']).toMatch(/^"rate";r=\d;t=\d+$/);
  });

  it('T1 admit no more than the quota, and spend none of it for what the rate refuses', async () => {
    load({ rate: { limit: 5, per: 'hour' }, quota: { limit: 100, per: 'day' } });
    await many(20);
    load({ rate: null, quota: { limit: 100, per: 'day' } });
    const left = (await get()).headers['ratelimit'];
    expect(left).toMatch(/^"quota";r=94;/);
    load({ rate: null, quota: { limit: 6, per: 'day' } });
    gateway.leases.close();
    const answer = await get();
    expect([answer.status, answer.code]).toEqual([429, 'quota_exhausted']);
  });

  it('go by the plan that the newest revision says', async () => {
    load({ rate: { limit: 1, per: 'hour' }, quota: null });
    expect((await many(3)).filter(({ status }) => status === 200)).toHaveLength(1);
    load({ rate: { limit: 3, per: 'hour' }, quota: null });
    expect((await many(5)).filter(({ status }) => status === 200)).toHaveLength(2);
    load({ rate: null, quota: null });
    const answers = await many(5);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(answers[0]?.headers).not.toHaveProperty('ratelimit');
  });

  it('are counted for each subscription by itself', async () => {
    const other = '0b5ad1ce-8f0d-4a35-9d7e-000000000002';
    load({ rate: { limit: 1, per: 'hour' }, quota: null });
    gateway.load(
      applicationOp({ 'weather:v1': 'gold' }, other, {
        subscriptions: [{ id: SUBSCRIPTION.replace(/f1$/, 'e1'), api: 'weather:v1', plan: 'gold' }],
      }),
      keyOp('other', { application: other }),
    );
    expect([(await get()).status, (await get()).status]).toEqual([200, 429]);
    expect((await call(gateway.port, 'GET', '/weather/v1/today', { 'x-api-key': 'other' })).status).toBe(200);
  });

  it('are told in numbers', async () => {
    load({ rate: { limit: 2, per: 'hour' }, quota: null });
    await many(5);
    const text = await gateway.scrape();
    expect(text).toContain('heliograph_gateway_refusals_total{code="rate_limited",region="eu-west"} 3');
    expect(text).toContain('heliograph_gateway_requests_total{api="weather:v1",status="2xx",region="eu-west"} 2');
    expect(text).toContain('heliograph_gateway_requests_total{api="weather:v1",status="4xx",region="eu-west"} 3');
  });
});
