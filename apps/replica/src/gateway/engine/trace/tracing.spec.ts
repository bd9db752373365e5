import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, type RecordingUpstream, recordingUpstream, until } from '#harness';
import { createLog } from '#platform';
import { systemClock } from '#throttle';
import { call, exchange } from '../../../testing/clients.js';
import { definitionOf, placed } from '../../../testing/gateway-ops.js';
import { type CollectedSpan, OtlpCollector } from '../../../testing/otlp-collector.js';
import { TestGateway } from '../../../testing/test-gateway.js';
import { tracingOf } from './trace-options.js';
import type { Sampler } from './tracing.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const PARENT = `00-${TRACE}-${SPAN}-01`;
const PATTERN = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

let upstream: RecordingUpstream;
let collector: OtlpCollector;
let gateway: TestGateway;

beforeEach(async () => {
  upstream = await recordingUpstream();
  collector = await OtlpCollector.start();
});

afterEach(async () => {
  await gateway.stop();
  await gateway.engine.tracing.exporter?.close(0);
  await upstream.close();
  await collector.close();
});

async function start(
  sampler: Sampler,
  exporting: boolean,
  more: Parameters<typeof definitionOf>[0] = {},
): Promise<void> {
  const url = exporting ? `${collector.url}/v1/traces` : null;
  const options = { sampler, url, headers: { 'x-tenant': 'helio' }, resource: { 'service.name': 'heliograph' } };
  const tracing = tracingOf(options, createLog('test', 'silent'));
  gateway = new TestGateway(null, systemClock, {}, {}, tracing);
  gateway.load(placed(definitionOf({ security: 'open', upstream: { targets: [{ url: upstream.url }] }, ...more })));
  await gateway.listen();
}

const ALL: Sampler = { followsParent: true, ratio: 1 };
const NONE: Sampler = { followsParent: true, ratio: 0 };
const get = (headers: Record<string, string | string[]> = {}) =>
  call(gateway.port, 'GET', '/weather/v1/today?city=x', headers);
const seen = (name: string) => upstream.requests.at(-1)?.headers[name];
const collected = async (count: number): Promise<CollectedSpan[]> => {
  await gateway.engine.tracing.exporter?.close(30_000);
  expect([collector.faults, collector.spans.length]).toEqual([[], count]);
  return collector.spans;
};

describe('traceparent', () => {
  it('is passed on with tracestate as it came, when nothing is recorded here', async () => {
    await start(NONE, false);
    await get({ traceparent: PARENT, tracestate: ['a=1', 'b=2'] });
    expect([seen('traceparent'), seen('tracestate')]).toEqual([PARENT, 'a=1,b=2']);
  });

  it('is made when it is missing, another one each time, and says that nobody records it', async () => {
    await start(NONE, false);
    const made = new Set<unknown>();
    for (let i = 0; i < 3; i++) {
      await get();
      const [whole, , , flags] = PATTERN.exec(String(seen('traceparent'))) ?? [];
      expect(flags).toBe('00');
      made.add(whole);
    }
    expect(made.size).toBe(3);
  });

  it('is made with the flag that the sampler says', async () => {
    await start(ALL, false);
    await get();
    expect(PATTERN.exec(String(seen('traceparent')))?.[3]).toBe('01');
  });

  it.each([
    ['one that is nonsense', { traceparent: '00-x', tracestate: 'a=1' }],
    ['two of them', { traceparent: [PARENT, PARENT], tracestate: 'a=1' }],
  ])('takes the place of %s, and tracestate goes', async (_, headers) => {
    await start(NONE, false);
    await get(headers);
    expect(PATTERN.exec(String(seen('traceparent')))?.[1]).not.toBe(TRACE);
    expect(seen('traceparent')).toMatch(PATTERN);
    expect(seen('tracestate')).toBeUndefined();
  });

  it('is left to an API that edits it', async () => {
    await start(NONE, false, { policies: { requestHeaders: { remove: ['traceparent', 'tracestate'] } } });
    await get({ traceparent: PARENT, tracestate: 'a=1' });
    expect([seen('traceparent'), seen('tracestate')]).toEqual([undefined, undefined]);
    gateway.load(
      placed(
        definitionOf({
          security: 'open',
          upstream: { targets: [{ url: upstream.url }] },
          policies: { requestHeaders: { set: { traceparent: 'mine' } } },
        }),
      ),
    );
    await get({ traceparent: PARENT });
    expect(seen('traceparent')).toBe('mine');
  });
});

describe('without a collector', () => {
  it('nothing is made for an answer of the gateway itself, and for an upstream nothing but the ids that are missing', async () => {
    await start(ALL, false);
    const { ids } = gateway.engine.tracing;
    const made = { trace: 0, span: 0 };
    for (const kind of ['trace', 'span'] as const) {
      const make = ids[kind].bind(ids);
      ids[kind] = () => {
        made[kind] += 1;
        return make();
      };
    }
    await call(gateway.port, 'GET', '/nowhere', { traceparent: 'nonsense' });
    await get({ traceparent: PARENT });
    expect(made).toEqual({ trace: 0, span: 0 });
    await get();
    expect(made).toEqual({ trace: 1, span: 1 });
  });
});

describe('SpanExporter', () => {
  it('sends the span of the request and that of the upstream below it, whose id the upstream gets', async () => {
    await start(ALL, true);
    await get({ traceparent: PARENT, tracestate: 'a=1', 'x-request-id': 'r1', authorization: 'Bearer secret' });
    const [server, client] = await collected(2);
    expect(server).toMatchObject({
      traceId: TRACE,
      parentSpanId: SPAN,
      traceState: 'a=1',
      name: 'GET /today',
      kind: 2,
      status: {},
    });
    expect(server?.attributes).toEqual({
      'http.request.method': 'GET',
      'url.scheme': 'http',
      'url.path': '/weather/v1/today',
      'http.route': '/today',
      'http.response.status_code': 200,
      'client.address': '127.0.0.1',
      'heliograph.api': 'weather:v1',
      'heliograph.request_id': 'r1',
    });
    expect(client).toMatchObject({ traceId: TRACE, parentSpanId: server?.spanId, name: 'GET', kind: 3, status: {} });
    expect(client?.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(upstream.url).port),
      'http.response.status_code': 200,
    });
    expect(seen('traceparent')).toBe(`00-${TRACE}-${client?.spanId}-01`);
    const times = [
      server?.startTimeUnixNano,
      client?.startTimeUnixNano,
      client?.endTimeUnixNano,
      server?.endTimeUnixNano,
    ];
    const numbers = times.map((text) => BigInt(text ?? 0));
    expect(numbers).toEqual([...numbers].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
    expect(Math.abs(Number((numbers[0] ?? 0n) / 1_000_000n) - Date.now())).toBeLessThan(60_000);
    expect(collector.resource).toEqual({ 'service.name': 'heliograph' });
    expect(collector.headers[0]).toMatchObject({ 'x-tenant': 'helio', 'content-type': 'application/json' });
    const text = await gateway.scrape();
    expect(text).toContain('heliograph_gateway_spans_exported_total{region="eu-west"} 2');
  });

  it('tells of a refusal, and of each attempt at an upstream', async () => {
    const [dead] = await freePorts(1);
    await start(ALL, true, {
      upstream: { targets: [{ url: `http://127.0.0.1:${dead}`, weight: 1000 }, { url: upstream.url }], retries: 1 },
    });
    await get();
    await call(gateway.port, 'GET', '/nowhere');
    const spans = await collected(4);
    const [first, failed, second, refused] = spans;
    expect(failed).toMatchObject({ parentSpanId: first?.spanId, status: { code: 2 } });
    expect(failed?.attributes).toMatchObject({ 'server.port': dead, 'error.type': 'retried' });
    expect(second).toMatchObject({ parentSpanId: first?.spanId, status: {} });
    expect(second?.attributes).toMatchObject({ 'http.request.resend_count': 1, 'http.response.status_code': 200 });
    expect(refused).toMatchObject({ name: 'GET', kind: 2, status: {} });
    expect(refused?.parentSpanId).toBeUndefined();
    expect(refused?.attributes).toMatchObject({ 'http.response.status_code': 404, 'heliograph.code': 'no_such_api' });
  });

  it('tells nothing of what the caller does not record, and of what is no HTTP', async () => {
    await start(ALL, true);
    await get({ traceparent: `00-${TRACE}-${SPAN}-00` });
    await exchange(gateway.port, 'nonsense\r\n\r\n');
    await collected(0);
    expect(seen('traceparent')).toBe(`00-${TRACE}-${SPAN}-00`);
  });

  it('G4 holds no request up and loses spans, counted, when the collector says nothing', async () => {
    collector.answer = null;
    await start(ALL, true);
    const request = 'GET /weather/v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n';
    const answers = await exchange(
      gateway.port,
      `${request.repeat(60)}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
    expect(answers.match(/HTTP\/1\.1 404 /g)).toHaveLength(61);
    const { exporter } = gateway.engine.tracing;
    for (let i = 0; i < 3000; i++) exporter?.add(SAMPLE);
    expect(exporter?.dropped).toBeGreaterThan(0);
    await exporter?.close(0);
    expect([exporter?.exported, exporter?.dropped]).toEqual([0, 61 + 3000]);
  });

  it.each([
    ['says that it takes no more of the kind', { status: 400 }, 1],
    ['takes a part of them', { status: 200, body: '{"partialSuccess":{"rejectedSpans":"1"}}' }, 1],
  ])('counts what is lost when the collector %s', async (_, answer, lost) => {
    collector.answer = answer;
    await start(ALL, true, { policies: { mock: { status: 200, body: 'ok' } } });
    await get();
    await gateway.engine.tracing.exporter?.close(30_000);
    expect(gateway.engine.tracing.exporter?.dropped).toBe(lost);
  });

  it('sends again what a collector that was busy did not take', async () => {
    collector.answer = { status: 503 };
    await start(ALL, true);
    const { exporter } = gateway.engine.tracing;
    for (let i = 0; i < 512; i++) exporter?.add(SAMPLE);
    await until(() => collector.headers.length >= 1, { what: 'the first attempt' });
    collector.answer = { status: 200, body: '{}' };
    await until(() => exporter?.exported === 512, { what: 'the next one' });
    expect(exporter?.dropped).toBe(0);
  });
});

const SAMPLE = {
  traceId: TRACE,
  spanId: SPAN,
  parentId: '',
  state: '',
  attempts: [],
  method: 'GET',
  scheme: 'http',
  path: '/',
  address: '127.0.0.1',
  requestId: 'r',
  status: 200,
  code: null,
  api: null,
  route: null,
  application: null,
  startedAt: 0,
  answeredAt: -1,
  endedAt: 1,
  epochMs: 1_700_000_000_000,
} as const;
