import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { replicaStatus } from '#model';
import { createLog } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import type { ToWorker } from '../gateway/ipc.js';
import { Tails } from '../gateway/tails.js';
import { type ReplicaFacts, statusOf } from '../status-view.js';
import { BEGINNING } from '../sync/sync.js';
import { exchange } from '../testing/clients.js';
import { type AdminApp, listenAdmin } from './admin-app.js';
import { Ask } from './ask.service.js';
import type { Node } from './node.js';

const log = createLog('test', 'silent');
const HEX = 'ab'.repeat(32);
const POSITION = {
  environment: 'prod',
  epoch: 3,
  revision: 184,
  hash: HEX,
  root: HEX,
  issuedAt: 1000,
  appliedAt: 1002,
  firstDelta: 1,
  deltaBytes: 0,
  repairs: 0,
};
const FACTS: ReplicaFacts = {
  replica: 'eu-west-1',
  region: 'eu-west',
  position: POSITION,
  head: null,
  nacks: [],
  sync: { ...BEGINNING, state: 'polling', revision: 184, head: 184 },
  source: 'store',
  joinFault: null,
  throttle: 'local' as const,
};
const wished: ToWorker[] = [];
const tails = new Tails((message) => wished.push(message));
let facts: ReplicaFacts;
const artifacts = new Map([['prod/head.json', { bytes: Buffer.from('{}\n'), etag: 'ab12' }]]);
let loaded: number;
let node: Node;
let admin: AdminApp;
let ask: Ask;

beforeAll(async () => {
  const status = () => ({
    ...statusOf(facts, 5000),
    workers: [],
    applied: 184,
    loaded,
    store: 'file:///s',
    certificates: [],
    uptimeSeconds: 1,
  });
  ask = new Ask(
    'eu-west',
    { revision: () => 0, repairs: () => 0, snapshot: () => assert.fail() },
    new LocalCounterStore(systemClock),
    log,
  );
  node = {
    status,
    metrics: () => Promise.resolve('# none\n'),
    artifact: (name: string) => artifacts.get(name) ?? null,
    tails,
  };
  admin = await listenAdmin({ node, ask, log, port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await admin.close();
  ask.close();
});
beforeEach(() => {
  facts = FACTS;
  loaded = 184;
});

async function get(path: string): Promise<{ status: number; type: string | null; body: unknown }> {
  const response = await fetch(`http://127.0.0.1:${admin.port}${path}`);
  const type = response.headers.get('content-type');
  return {
    status: response.status,
    type,
    body: type?.includes('json') ? await response.json() : await response.text(),
  };
}

describe('the admin port', () => {
  it('GET /status is the document that the master gets, with what concerns this node', async () => {
    facts = { ...FACTS, head: { epoch: 3, revision: 185, hash: HEX, issuedAt: 1, expiresAt: 6000 } };
    const { status, body } = await get('/status');
    expect(status).toBe(200);
    expect(replicaStatus.parse(body)).toMatchObject({
      replica: 'eu-west-1',
      state: 'polling',
      source: 'store',
      freshness: 'fresh',
      epoch: 3,
      revision: 184,
      head: 185,
      lagMs: 2,
      lastError: null,
    });
    expect(body).toMatchObject({ loaded: 184, store: 'file:///s', workers: [] });
  });

  it('GET /status says what is wrong, since when, and that nothing was ever loaded', async () => {
    const position = { ...POSITION, epoch: 0, revision: 0 };
    facts = {
      ...FACTS,
      position,
      sync: null,
      source: 'none',
      joinFault: { code: 'master_unreachable', detail: 'x'.repeat(3000), at: 0 },
    };
    const { body } = await get('/status');
    expect(replicaStatus.parse(body)).toMatchObject({
      state: 'booting',
      source: 'none',
      freshness: 'stale',
      hash: null,
      root: null,
      lagMs: null,
      lastError: { code: 'master_unreachable', at: '1970-01-01T00:00:00.000Z' },
    });
    const faults = { revision: { code: 'bad_hash', detail: 'd', at: 7 } };
    facts = { ...FACTS, sync: { ...BEGINNING, faults } };
    expect(((await get('/status')).body as { lastError: unknown }).lastError).toEqual({
      code: 'bad_hash',
      detail: 'd',
      at: '1970-01-01T00:00:00.007Z',
    });
  });

  it('GET and HEAD /chain/<name> give the exact bytes with a tag, and 304 and 404', async () => {
    const url = `http://127.0.0.1:${admin.port}/chain`;
    const whole = await fetch(`${url}/prod/head.json`);
    expect([whole.status, whole.headers.get('etag'), await whole.text()]).toEqual([200, '"ab12"', '{}\n']);
    const known = await fetch(`${url}/prod/head.json`, { headers: { 'if-none-match': '"ab12"' } });
    expect([known.status, await known.text()]).toEqual([304, '']);
    const size = await fetch(`${url}/prod/head.json`, { method: 'HEAD' });
    expect([size.status, size.headers.get('content-length'), await size.text()]).toEqual([200, '3', '']);
    for (const path of ['/prod/delta/000000000001', '', '/', '/..%2f..%2fetc', '/staging/head.json']) {
      const none = await fetch(url + path);
      expect([none.status, ((await none.json()) as { code: string }).code]).toEqual([404, 'not_found']);
    }
  });

  it('GET /readyz is 200 when every worker serves a revision, and with min one as new as that', async () => {
    const ready = { status: 'ok', environment: 'prod', revision: 184 };
    for (const path of ['/readyz', '/readyz?min=prod@184', '/readyz?min=prod@1', '/readyz?min=prod%40184']) {
      expect(await get(path)).toMatchObject({ status: 200, body: ready });
    }
  });

  it('GET /readyz is 503 and names what is loaded, when that is not as new, or nothing', async () => {
    const detail = async (path: string, code = 'not_ready') => {
      const { status, type, body } = await get(path);
      expect([status, type]).toEqual([503, 'application/problem+json; charset=utf-8']);
      expect(body).toMatchObject({ code, status: 503, instance: '/readyz' });
      return (body as { detail: string }).detail;
    };
    expect(await detail('/readyz?min=prod@185', 'behind_min_revision')).toBe(
      'revision 184 of prod is loaded here; 185 is asked for',
    );
    loaded = 0;
    expect(await detail('/readyz')).toBe('no revision of prod is loaded yet');
    facts = { ...FACTS, joinFault: { code: 'master_unreachable', detail: 'the master is away', at: 0 } };
    expect(await detail('/readyz?min=prod@1')).toBe(
      'no revision of prod is loaded yet: master_unreachable: the master is away',
    );
  });

  it('GET /readyz is 400 for a min that is not one revision', async () => {
    for (const min of ['prod', '184', 'prod@', 'prod@x', 'prod@1,dev@2', 'Prod@1', '', 'prod@1&min=prod@2']) {
      const { status, body } = await get(`/readyz?min=${min}`);
      expect([min, status]).toEqual([min, 400]);
      expect(body).toMatchObject({ code: 'invalid_request', errors: [{ field: 'min' }] });
    }
  });

  it('GET /readyz is 400 for another environment, which it will never serve, loaded or not', async () => {
    for (loaded of [184, 0]) {
      const { status, body } = await get('/readyz?min=staging@5');
      expect([status, body]).toMatchObject([
        400,
        { code: 'invalid_request', detail: 'min names staging, and this replica serves prod and nothing else' },
      ]);
    }
  });

  it('answers /livez and /metrics', async () => {
    expect(await get('/livez')).toMatchObject({ status: 200, body: { status: 'ok' } });
    expect(await get('/metrics')).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: '# none\n',
    });
  });

  it('answers a path that it does not have with a problem document', async () => {
    expect(await get('/nope?x=1')).toMatchObject({
      status: 404,
      type: 'application/problem+json; charset=utf-8',
      body: { code: 'not_found', instance: '/nope' },
    });
  });

  it.each([
    ['POST', '/status?x=1', 'GET, HEAD'],
    ['DELETE', '/chain/prod/head.json', 'GET, HEAD'],
    ['GET', '/validate', 'POST'],
  ])('says which methods a path is there for: %s %s', async (method, path, allow) => {
    const response = await fetch(`http://127.0.0.1:${admin.port}${path}`, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
    expect(response.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(await response.json()).toMatchObject({ code: 'method_not_allowed', instance: path.split('?')[0] });
  });

  it('answers a body that is not JSON with a problem document', async () => {
    const response = await fetch(`http://127.0.0.1:${admin.port}/validate`, {
      method: 'POST',
      body: '{',
      headers: { 'content-type': 'application/json' },
    });
    expect([response.status, await response.json()]).toMatchObject([400, { code: 'malformed_json' }]);
  });

  it('answers what never gets to a route with a problem document too', async () => {
    expect(await get('/%ff?x=1')).toMatchObject({
      status: 400,
      type: 'application/problem+json; charset=utf-8',
      body: { code: 'bad_request', status: 400, instance: '/%ff' },
    });
    for (const [head, status] of [
      [`GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
      ['nonsense\r\n\r\n', 400],
    ] as const) {
      const text = await exchange(admin.port, head);
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} [^\r]+\r\nContent-Type: application/problem\\+json`));
      expect(JSON.parse(text.split('\r\n\r\n')[1] ?? '')).toMatchObject({ code: 'bad_request', status });
    }
  });

  it('says that its port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(listenAdmin({ node: {} as Node, ask, log, port, host: '127.0.0.1' })).rejects.toMatchObject({
      code: 'EADDRINUSE',
      syscall: 'listen',
    });
    other.close();
  });
});

/** of this machine, as others know it */
const ADDRESS = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.family === 'IPv4' && !one.internal)?.address;

describe('GET /access-log', () => {
  const tail = '7c9e6679-7425-40de-944b-e07fc1f90ae7';

  it('tells whoever is on this machine what has come since he asked last, and has workers told what he wants', async () => {
    expect(await get(`/access-log?tail=${tail}&status=5xx`)).toMatchObject({
      status: 200,
      body: { lines: [], dropped: 0 },
    });
    expect(wished.at(-1)).toMatchObject({ type: 'tail', wish: { tail, forMs: 15_000, filter: { status: '5xx' } } });
    tails.told({ tail, lines: ['{"path":"/1"}', '{"path":"/2"}'], dropped: 3 });
    const path = `/access-log?tail=${tail}&status=5xx`;
    expect((await get(path)).body).toEqual({ lines: [{ path: '/1' }, { path: '/2' }], dropped: 3 });
    expect((await get(path)).body).toEqual({ lines: [], dropped: 0 });
  });

  it('names what is wrong with a question', async () => {
    expect(await get('/access-log')).toMatchObject({ status: 400, body: { errors: [{ field: 'tail' }] } });
    expect(await get(`/access-log?tail=${tail}&status=x`)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'status' }] },
    });
  });

  it.skipIf(ADDRESS === undefined)('is refused to who comes from anywhere but this machine', async () => {
    const other = await listenAdmin({ node, ask, log, port: 0, host: '0.0.0.0' });
    const response = await fetch(`http://${ADDRESS}:${other.port}/access-log?tail=${tail}`);
    const { code } = (await response.json()) as { code: string };
    await other.close();
    expect([response.status, code]).toEqual([403, 'local_only']);
  });
});
