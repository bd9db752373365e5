import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Family, readExposition, until } from '#harness';
import { newToken } from '#model';
import { OtlpCollector } from '../../apps/replica/src/testing/otlp-collector.js';
import { type Consumer, Rig } from './rig.js';

const DOCKER = join(import.meta.dirname, '../../docker');
/** Secrets of other kinds than the key: none may be in anything that is written. */
const SECRETS = {
  unknownKey: 'hg_live_0123456789abcdefghijABCDEFG_0a1B2c',
  token: newToken('hgt'),
  password: 'cGFzc3dvcmQtb2YtYmFzaWM',
  cookie: 'cookie-that-is-secret',
  query: 'query-that-is-secret',
  body: 'body-that-is-secret',
  collector: 'collector-that-is-secret',
};

let rig: Rig;
let consumer: Consumer;
let collector: OtlpCollector;

beforeAll(async () => {
  collector = await OtlpCollector.start();
  rig = await Rig.start();
  consumer = await rig.consumer(await rig.publish('weather', { credential: { query: 'api_key' } }));
  await rig.everywhere(consumer.revision);
  await rig.replicas['eu-west'].stop();
  rig.replicas['eu-west'] = await rig.replicas['eu-west'].again({
    HELIO_ACCESS_LOG: 'on',
    HELIO_LOG_LEVEL: 'debug',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${SECRETS.collector}`,
    OTEL_SERVICE_NAME: 'gateway-under-test',
  });
});

afterAll(async () => {
  await rig?.stop();
  await collector?.close();
});

/** What comes back for bytes, until the gateway closes. */
async function raw(bytes: string): Promise<string> {
  const socket = connect(Number(new URL(rig.replicas['eu-west'].gateway).port), '127.0.0.1');
  socket.write(bytes);
  return textOf(socket);
}

/** Sends so many requests. */
const SENT = 7;
async function sendSecrets(): Promise<void> {
  const { gateway } = rig.replicas['eu-west'];
  const everywhere = {
    authorization: `Basic ${SECRETS.password}`,
    cookie: `session=${SECRETS.cookie}`,
    'x-auth-token': SECRETS.token,
  };
  const url = `${gateway}/weather/v1/today?api_key=${consumer.secret}&token=${SECRETS.query}`;
  expect((await fetch(url, { headers: everywhere })).status).toBe(200);
  const init = { method: 'POST', body: SECRETS.body, headers: { ...everywhere, 'x-api-key': consumer.secret } };
  expect((await fetch(`${gateway}/weather/v1/upload`, init)).status).toBe(200);
  rig.upstream.fault = { kind: 'reset', at: 'head' };
  expect((await fetch(`${gateway}/weather/v1/broken?token=${SECRETS.query}`, init)).status).toBe(502);
  rig.upstream.fault = undefined;
  const bearer = { headers: { authorization: `Bearer ${SECRETS.unknownKey}` } };
  expect((await fetch(`${gateway}/weather/v1/today`, bearer)).status).toBe(401);
  expect((await fetch(`${gateway}/${consumer.secret}`, { headers: { 'x-request-id': consumer.secret } })).status).toBe(
    404,
  );
  const head = `GET /weather/v1/today?token=${SECRETS.query} HTTP/1.1\r\nX-API-Key: ${consumer.secret}\r\n`;
  expect(await raw(`${head}Cookie: ${SECRETS.cookie}\r\nHost: a\r\nHost: b\r\n\r\n`)).toContain(' 400 ');
  expect(await raw(`${SECRETS.cookie} ${consumer.secret}\r\n\r\n`)).toContain(' 501 ');
}

/** Expressions of the dashboard and of the rules, and the names that rules give to what they record. */
function expressions(): { used: string[]; recorded: Set<string> } {
  interface Panel {
    targets?: { expr: string }[];
  }
  interface Rules {
    groups: { rules: { expr: string; record?: string; alert?: string; annotations?: Record<string, string> }[] }[];
  }
  const dashboard = JSON.parse(readFileSync(join(DOCKER, 'grafana/heliograph.json'), 'utf8')) as { panels: Panel[] };
  const rules = parse(readFileSync(join(DOCKER, 'prometheus/rules.yml'), 'utf8')) as Rules;
  const all = rules.groups.flatMap((group) => group.rules);
  for (const { alert, annotations } of all) {
    if (alert === undefined) continue;
    expect([alert, annotations?.['summary'], annotations?.['runbook']]).not.toContain(undefined);
  }
  const panels = dashboard.panels.flatMap(({ targets }) => targets ?? []);
  return {
    used: [...panels, ...all].map(({ expr }) => expr),
    recorded: new Set(all.map(({ record }) => record ?? '')),
  };
}

describe('a replica and a master, seen from outside', () => {
  let families: Map<string, Family>;

  beforeAll(async () => {
    await sendSecrets();
    const text = async (url: string): Promise<string> => (await fetch(`${url}/metrics`)).text();
    const replica = await until(
      async () => {
        const now = await text(rig.replicas['eu-west'].admin);
        const counted = readExposition(now).get('heliograph_gateway_requests_total')?.samples.values() ?? [];
        // a worker that takes long to answer has told of none of them yet, or of some
        return [...counted].reduce((sum, count) => sum + count, 0) === SENT ? now : null;
      },
      { what: 'the numbers of the worker, with all requests' },
    );
    const master = await text(rig.master.url);
    const ours = master.split(/^(?=# HELP )/m).filter((family) => family.startsWith('# HELP heliograph_'));
    families = new Map([...readExposition(replica), ...readExposition(ours.join(''))]);
  });

  it('export every metric, and every label, that the dashboard and the rules ask for', () => {
    const { used, recorded } = expressions();
    const missing = new Set<string>();
    for (const expression of used) {
      const plain = expression.replace(/"(?:[^"\\]|\\.)*"/g, '""');
      for (const [, name = '', matchers = ''] of plain.matchAll(/\b(heliograph[a-z0-9_:]*)(?:\{([^}]*)\})?/g)) {
        if (recorded.has(name)) continue;
        const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
        if (!family) missing.add(name);
        for (const [, label = ''] of matchers.matchAll(/([a-z_]+)\s*[=!]/g))
          if (family?.labels.length && !family.labels.some((labels) => label in labels))
            missing.add(`${name}{${label}}`);
      }
    }
    expect([...missing]).toEqual([]);
    expect(used.length).toBeGreaterThan(50);
  });

  it('are explained, each metric, in docs/metrics.md, which explains no other', () => {
    const text = readFileSync(join(DOCKER, '../docs/metrics.md'), 'utf8');
    const explained = new Set([...text.matchAll(/^\| `(heliograph_[a-z_]+)/gm)].map(([, name]) => name));
    expect([...families.keys()].filter((name) => !explained.has(name))).toEqual([]);
    expect([...explained].filter((name) => !families.has(name ?? ''))).toEqual([]);
  });

  it('count requests that were no HTTP, and refusals by their code', () => {
    const requests = families.get('heliograph_gateway_requests_total')?.samples;
    expect(requests?.get('heliograph_gateway_requests_total{api="none",region="eu-west",status="4xx"}')).toBe(2);
    expect(requests?.get('heliograph_gateway_requests_total{api="weather:v1",region="eu-west",status="2xx"}')).toBe(2);
    const refusals = families.get('heliograph_gateway_refusals_total')?.samples;
    expect(refusals?.get('heliograph_gateway_refusals_total{code="bad_request",region="eu-west"}')).toBe(2);
    expect(refusals?.get('heliograph_gateway_refusals_total{code="credential_unknown",region="eu-west"}')).toBe(1);
  });

  it('write no secret: not in the access log, not in the log, not in spans', async () => {
    await until(() => collector.spans.length >= 8, { what: 'the spans' });
    await rig.replicas['eu-west'].stop();
    const output = rig.replicas['eu-west'].output();
    const lines = output
      .split('\n')
      .flatMap((line) => (line.startsWith('{"time":"') ? [JSON.parse(line) as object] : []));
    const told = lines.filter((line) => 'requestId' in line && 'totalMs' in line);
    expect(told).toHaveLength(SENT);
    expect(told.filter((line) => 'method' in line && line.method === null)).toHaveLength(2);
    const spans = JSON.stringify(collector.spans);
    for (const [name, secret] of Object.entries({ ...SECRETS, key: consumer.secret }))
      expect([name, output.includes(secret), spans.includes(secret)]).toEqual([name, false, false]);
    expect(collector.faults).toEqual([]);
    expect(collector.headers[0]?.authorization).toBe(`Bearer ${SECRETS.collector}`);
    expect(collector.resource).toMatchObject({ 'service.name': 'gateway-under-test', 'cloud.region': 'eu-west' });
  });
});
