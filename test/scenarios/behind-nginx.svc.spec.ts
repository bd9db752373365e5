import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  type AppProcess,
  Client,
  describeWith,
  type FreshDatabase,
  freshDatabase,
  freePorts,
  type Master,
  type RecordingUpstream,
  recordingUpstream,
  type Replica,
  startMaster,
  startReplica,
  until,
} from '#harness';
import { WebSocket, WebSocketServer } from 'ws';
import { type ShippedNginx, startShipped } from '../deployment/shipped.js';

const WRITERS = 8;
const READERS = 4;
/** Answers that are waited for between two restarts, so that each of them meets requests. */
const BETWEEN = 40;

let database: FreshDatabase;
let upstream: RecordingUpstream;
let masters: [Master, Master];
let replicas: [Replica, Replica];
/** a third one, of another region, that reaches no store: it asks for heads where the masters are */
let storeless: Replica;
let door: ShippedNginx;
let gateways: ShippedNginx;
let client: Client;
let release: string;
const directory = mkdtempSync(join(tmpdir(), 'helio-behind-nginx-'));

const stop = async (app: AppProcess): Promise<void> => expect(await app.stop()).toBe('exit code 0');
const kill = async (app: AppProcess): Promise<void> => {
  app.kill('SIGKILL');
  await app.exited;
};

/** Ends and starts each of them, one at a time, with requests before and after. */
async function roll<T extends Master | Replica>(all: T[], end: typeof stop, answered: () => number): Promise<void> {
  const requests = async (): Promise<void> => {
    const goal = answered() + BETWEEN;
    await until(() => answered() >= goal, { what: 'requests between two restarts', within: 60_000 });
  };
  for (const [at, one] of [...all].entries()) {
    await requests();
    await end(one);
    all[at] = (await one.again()) as T;
    await sleep(LEFT_OUT_MS);
  }
  await requests();
}

/** As gateways.conf says: nginx leaves a replica out for a second after it failed, also one that is back. */
const LEFT_OUT_MS = 2_000;

/** One after the other, until `done`. @returns what went wrong */
async function repeat(count: number, done: () => boolean, once: (of: number) => Promise<void>): Promise<string[]> {
  const faults: string[] = [];
  const loop = async (of: number): Promise<void> => {
    while (!done()) await once(of).catch((error: unknown) => void faults.push(String(error)));
  };
  await Promise.all(Array.from({ length: count }, (_, of) => loop(of)));
  return faults;
}

/** Heads and revisions that a replica was given and did not accept, by code. */
async function refusals({ admin }: Replica): Promise<string[]> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return text.match(/^heliograph_replica_refused_artifacts_total\{.*$/gm) ?? [];
}

/** How often a master was asked for the head of the chain, and gave one that was not known. */
async function headsOf({ url, adminToken }: Master): Promise<number> {
  const headers = { authorization: `Bearer ${adminToken}` };
  const text = await (await fetch(`${url}/metrics`, { headers })).text();
  const sample = /^heliograph_master_request_seconds_count\{.*head\.json.*status="200".*\} (\d+)$/m;
  return Number(sample.exec(text)?.[1] ?? 0);
}

describeWith('nginx', 'masters and gateways behind the nginx that is shipped', () => {
  beforeAll(async () => {
    upstream = await recordingUpstream();
    database = await freshDatabase();
    const store = `file://${join(directory, 'store')}`;
    const [own = 0, other = 0, ...rest] = await freePorts(6);
    const first = await startMaster({ database: database.url, store, port: own });
    masters = [first, await first.beside(other)];
    door = await startShipped({ file: 'masters.conf', ports: [own, other] });
    client = new Client(door.url, first.adminToken);
    await client.post('/v1/environments', { id: 'prod', position: 30 });
    await client.post('/v1/regions', { id: 'eu-west', environment: 'prod' });
    await client.post('/v1/plans', { id: 'free' });
    await client.post('/v1/apis', { name: 'weather', version: 'v1' });
    const definition = {
      routes: [{ method: '*', path: '/*' }],
      upstream: { targets: [{ url: upstream.url }] },
      security: 'open',
      plans: ['free'],
    };
    const { body } = await client.post('/v1/apis/weather:v1/releases', { definition });
    release = body.digest;
    await client.put('/v1/placements/prod/weather:v1/*', { release, reason: 'a test' });
    await client.post('/v1/regions', { id: 'us-east', environment: 'prod' });
    const { body: token } = await client.post('/v1/join-tokens', { region: 'eu-west', maxUses: 2 });
    const { body: far } = await client.post('/v1/join-tokens', { region: 'us-east' });
    const ports = [rest.slice(0, 2), rest.slice(2)].map(([gateway = 0, admin = 0]) => ({ gateway, admin }));
    replicas = (await Promise.all(
      ports.map((pair, at) =>
        startReplica({
          environment: 'prod',
          region: 'eu-west',
          stateDir: join(directory, `replica-${at}`),
          ports: pair,
          env: { HELIO_MASTER_URL: door.url, HELIO_JOIN_TOKEN: token.token, ARTIFACT_STORE: store },
        }),
      ),
    )) as [Replica, Replica];
    storeless = await startReplica({
      environment: 'prod',
      region: 'us-east',
      stateDir: join(directory, 'replica-storeless'),
      env: {
        HELIO_MASTER_URL: door.url,
        HELIO_JOIN_TOKEN: far.token,
        ARTIFACT_STORE: `file://${join(directory, 'nowhere')}`,
        HELIO_STREAM_POLL_SECONDS: '1',
      },
    });
    gateways = await startShipped({
      file: 'gateways.conf',
      ports: ports.map(({ gateway }) => gateway) as [number, number],
    });
  });
  afterAll(async () => {
    await Promise.all([storeless, ...(replicas ?? []), ...(masters ?? [])].map((app) => app?.stop()));
    await Promise.all([door?.stop(), gateways?.stop(), upstream?.close()]);
    await database?.drop();
    rmSync(directory, { recursive: true, force: true });
  });

  it.each([
    ['a rolling restart of both masters', stop],
    ['the death of one master after the other', kill],
  ] as const)(
    '%s under a stream of writes loses none, doubles none and fails none, nor a read',
    async (_, end) => {
      const { body } = await client.post('/v1/applications', { name: 'another' });
      const application = body.id;
      await client.post('/v1/subscriptions', { application, api: 'weather:v1', plan: 'free' });
      const made = new Map<string, string>();
      const revisions: (string | null)[] = [];
      let reads = 0;
      let rolled = false;
      const write = async (): Promise<void> => {
        const headers = { 'idempotency-key': randomUUID() };
        const answer = await client.post(`/v1/applications/${application}/keys`, { environment: 'prod' }, { headers });
        expect(made.has(answer.body.id)).toBe(false);
        made.set(answer.body.id, answer.body.secret);
        revisions.push(answer.headers.get('heliograph-revision'));
      };
      const read = async (): Promise<void> => {
        await client.get(`/v1/applications/${application}`);
        reads += 1;
      };
      const writing = repeat(WRITERS, () => rolled, write);
      const reading = repeat(READERS, () => rolled, read);
      try {
        await roll(masters, end, () => Math.min(made.size, reads));
      } finally {
        rolled = true;
      }
      // nginx has repeated what met a restart: the clients have not sent anything twice
      expect(await writing).toEqual([]);
      expect(await reading).toEqual([]);
      expect(revisions.filter((revision) => !/^prod@\d+$/.test(revision ?? ''))).toEqual([]);

      const kept = await client.all(`/v1/applications/${application}/keys?limit=200`);
      expect(kept.map(({ id }: { id: string }) => id).sort()).toEqual([...made.keys()].sort());
      const { body: head } = await client.get('/v1/environments/prod/head');
      for (const replica of [...replicas, storeless]) {
        await until(async () => (await fetch(`${replica.admin}/readyz?min=prod@${head.revision}`)).status === 200, {
          what: `a replica to have prod@${head.revision}`,
        });
        expect(await refusals(replica)).toEqual([]);
      }
    },
    300_000,
  );

  it('replicas follow the live stream by way of nginx', async () => {
    for (const { admin } of replicas)
      await until(async () => ((await (await fetch(`${admin}/status`)).json()) as { state: string }).state === 'live', {
        what: 'a replica to be live',
        within: 60_000,
      });
  });

  it('R4 a replica that is given the heads of both masters in turn, one of them the older one, refuses neither', async () => {
    const before = await Promise.all(masters.map(headsOf));
    await until(
      async () => (await Promise.all(masters.map(headsOf))).every((count, at) => count >= (before[at] ?? 0) + 3),
      { what: 'three heads of each master', within: 120_000 },
    );
    expect(await refusals(storeless)).toEqual([]);
    const status = (await (await fetch(`${storeless.admin}/status`)).json()) as { lastError: { code: string } | null };
    expect(status.lastError?.code).toBe('store_unreachable');
  }, 150_000);

  it('an import is answered while the client still sends', async () => {
    const call = request(`${door.url}/v1/import`, {
      method: 'POST',
      headers: { authorization: `Bearer ${masters[0].adminToken}`, 'content-type': 'application/x-ndjson' },
    });
    const answered = once(call, 'response') as Promise<[IncomingMessage]>;
    // three batches of a thousand lines are under way at a time, so the first one is answered
    for (let id = 0; id < 5_000; id++)
      call.write(`${JSON.stringify({ kind: 'application', id: `crm-${id}`, name: 'CRM' })}\n`);
    const [response] = await answered; // and the last line was not sent
    expect(response.statusCode).toBe(200);
    call.end();
    let text = '';
    for await (const chunk of response) text += String(chunk);
    expect(text).toContain('"created"');
  });

  it('events of a promotion come when they happen', async () => {
    await client.post('/v1/environments', { id: 'staging', position: 20 });
    const definition = {
      routes: [{ method: 'GET', path: '/*' }],
      upstream: { targets: [{ url: upstream.url }] },
      security: 'open',
      plans: [],
    };
    const { body: next } = await client.post('/v1/apis/weather:v1/releases', { definition });
    await client.put('/v1/placements/staging/weather:v1/*', { release: next.digest, reason: 'a test' });
    const strategy = { waves: [['eu-west']], soak: 3600, gates: { minRequests: 0 } };
    const { body } = await client.post('/v1/promotions', {
      api: 'weather:v1',
      release: next.digest,
      to: 'prod',
      strategy,
    });
    const abort = new AbortController();
    const stream = await fetch(`${door.url}/v1/promotions/${body.id}/events`, {
      headers: { authorization: `Bearer ${masters[0].adminToken}` },
      signal: abort.signal,
    });
    let text = '';
    for await (const chunk of stream.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('event: ')) break; // it soaks for an hour: the stream is open
    }
    expect(text).toContain('retry: 2000');
    abort.abort();
    await client.post(`/v1/promotions/${body.id}/abort`, { reason: 'a test' });
  });

  it('a rolling restart of both replicas of a region fails no request that may be repeated', async () => {
    let answered = 0;
    let rolled = false;
    const calling = repeat(
      READERS,
      () => rolled,
      async () => {
        const response = await fetch(`${gateways.url}/weather/v1/today?city=%20`);
        await response.text();
        if (response.status !== 200) throw new Error(`answered ${response.status}`);
        answered += 1;
      },
    );
    try {
      await roll(replicas, stop, () => answered);
    } finally {
      rolled = true;
    }
    expect(await calling).toEqual([]);
  }, 300_000);

  it('a WebSocket, and events, pass the gateways', async () => {
    const sockets = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(sockets, 'listening');
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
    const { port } = sockets.address() as { port: number };
    const definition = {
      routes: [{ method: 'GET', path: '/*' }],
      upstream: { targets: [{ url: `http://127.0.0.1:${port}` }] },
      security: 'open',
      plans: [],
    };
    await client.post('/v1/apis', { name: 'chat', version: 'v1' });
    const { body } = await client.post('/v1/apis/chat:v1/releases', { definition });
    const { headers } = await client.put('/v1/placements/prod/chat:v1/*', { release: body.digest, reason: 'a test' });
    for (const { admin } of replicas)
      await until(async () => (await fetch(`${admin}/readyz?min=${headers.get('heliograph-revision')}`)).ok, {
        what: 'a replica to have the API',
      });
    const socket = new WebSocket(`${gateways.url.replace('http', 'ws')}/chat/v1/room`);
    await once(socket, 'open');
    socket.send('hello');
    const [data] = await once(socket, 'message');
    expect(String(data)).toBe('hello');
    socket.close();
    await once(socket, 'close');
    sockets.close();
  });
});
