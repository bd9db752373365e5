import { once } from 'node:events';
import { request } from 'node:https';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { describeWith, type RecordingUpstream, recordingUpstream } from '#harness';
import { type ShippedNginx, startShipped } from './shipped.js';

/** A path that decoding, or merging of slashes, would change. */
const PATH = '/v1/a%2Fb//c;d/%7Ee?q=%20x&q=';

let first: RecordingUpstream;
let second: RecordingUpstream;
let nginx: ShippedNginx;

const portOf = ({ url }: RecordingUpstream): number => Number(new URL(url).port);
/** Sends one request, of which the server that gets it first may know before it breaks off. */
async function send(method: string, headers: Record<string, string> = {}, path = PATH): Promise<number> {
  const body = method === 'GET' ? undefined : 'the body';
  const answer = await fetch(nginx.url + path, { method, headers, body });
  await answer.text();
  return answer.status;
}
const received = (): string[] => [...first.requests, ...second.requests].map(({ method, url }) => `${method} ${url}`);

async function start(file: 'masters.conf' | 'gateways.conf'): Promise<void> {
  [first, second] = await Promise.all([recordingUpstream(), recordingUpstream()]);
  nginx = await startShipped({ file, ports: [portOf(first), portOf(second)] });
}
async function stop(): Promise<void> {
  await nginx?.stop();
  await Promise.all([first?.close(), second?.close()]);
}
function forget(): void {
  for (const upstream of [first, second]) {
    upstream.requests.length = 0;
    upstream.fault = undefined;
  }
}

describeWith('nginx', 'deploy/nginx/masters.conf', () => {
  beforeAll(() => start('masters.conf'));
  afterAll(stop);
  beforeEach(forget);

  it('sends a POST with an Idempotency-Key to the other master when the first one breaks off, its body with it', async () => {
    first.fault = { kind: 'reset', at: 'head' };
    for (let count = 0; count < 4; count++) expect(await send('POST', { 'idempotency-key': `key-${count}` })).toBe(200);
    expect(first.requests.length).toBeGreaterThan(0);
    expect(second.requests.map(({ headers }) => headers['idempotency-key'])).toEqual([
      'key-0',
      'key-1',
      'key-2',
      'key-3',
    ]);
    expect(second.requests.map(({ body }) => body.toString())).toEqual(Array.from({ length: 4 }, () => 'the body'));
  });

  it.each([
    ['a POST without an Idempotency-Key', 'POST', {}],
    ['a PATCH, whatever it says', 'PATCH', { 'idempotency-key': 'key' }],
  ] as const)('never sends %s twice once a master has it', async (_, method, headers) => {
    first.fault = { kind: 'reset', at: 'head' };
    second.fault = { kind: 'reset', at: 'head' };
    expect(await send(method, headers)).toBe(502);
    expect(received()).toEqual([`${method} ${PATH}`]);
  });

  it('sends it to the other master when the first one is not there', async () => {
    await first.close();
    for (let count = 0; count < 6; count++) expect(await send('POST')).toBe(200);
    expect(second.requests).toHaveLength(6);
    first = await recordingUpstream(portOf(first));
  });

  it.each(['GET', 'PUT', 'DELETE'])('repeats a %s', async (method) => {
    first.fault = { kind: 'reset', at: 'head' };
    for (let count = 0; count < 2; count++) expect(await send(method)).toBe(200);
    expect(second.requests).toHaveLength(2);
  });

  it.each<Record<string, string>>([{}, { 'idempotency-key': 'key' }])(
    'leaves an answer of 503 as it is',
    async (headers) => {
      for (const upstream of [first, second]) upstream.fault = { kind: 'status', status: 503 };
      for (let count = 0; count < 3; count++) expect(await send('POST', headers)).toBe(503);
      expect(received()).toHaveLength(3);
    },
  );

  it.each<Record<string, string>>([{}, { 'idempotency-key': 'key' }])(
    'leaves path and query as they came',
    async (headers) => {
      await send('POST', headers);
      expect(received()).toEqual([`POST ${PATH}`]);
    },
  );

  it('says nothing about clients that masters would have to believe', async () => {
    await send('GET', { 'x-request-id': 'mine' });
    const headers = [...first.requests, ...second.requests][0]?.headers;
    expect(headers?.['x-request-id']).toBe('mine');
    expect(Object.keys(headers ?? {}).filter((name) => /forwarded|real-ip|via/.test(name))).toEqual([]);
  });

  it('tells masters the host that was asked for, by the live stream too', async () => {
    for (const path of ['/v1/apis', '/v1/stream']) expect(await send('GET', {}, path)).toBe(200);
    const hosts = [...first.requests, ...second.requests].map(({ headers }) => headers.host);
    expect(hosts).toEqual(['localhost', 'localhost']);
  });

  it('passes the metrics on to nobody, however the path is written', async () => {
    for (const path of ['/metrics', '/%6Detrics', '//metrics', '/v1/../metrics?a=b'])
      expect([path, await send('GET', {}, path)]).toEqual([path, 403]);
    expect(received()).toEqual([]);
  });

  it('speaks TLS', async () => {
    const secure = await startShipped({ file: 'masters.conf', ports: [portOf(first), portOf(second)], tls: true });
    try {
      const call = request(`${secure.url}/livez`, { ca: secure.certificate }).end();
      const [response] = await once(call, 'response');
      expect(response.statusCode).toBe(200);
      response.resume();
    } finally {
      await secure.stop();
    }
  });
});

describeWith('nginx', 'deploy/nginx/gateways.conf', () => {
  beforeAll(() => start('gateways.conf'));
  afterAll(stop);
  beforeEach(forget);

  it('leaves path and query as they came', async () => {
    await send('GET');
    expect(received()).toEqual([`GET ${PATH}`]);
  });

  it('never sends a POST twice once a replica has it, and never asks again because of an answer', async () => {
    for (const upstream of [first, second]) upstream.fault = { kind: 'reset', at: 'head' };
    expect(await send('POST', { 'idempotency-key': 'key' })).toBe(502);
    expect(received()).toHaveLength(1);
    forget();
    for (const upstream of [first, second]) upstream.fault = { kind: 'status', status: 503 };
    expect(await send('GET')).toBe(503);
    expect(received()).toHaveLength(1);
  });
});
