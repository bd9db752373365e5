import { request } from 'node:http';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TrustedKeys } from '#artifacts';
import { STREAM_PATH, STREAM_PROTOCOL } from '#model';
import { until } from '#harness';
import { good } from '../testing/answers.js';
import { type StartedApp, startApp, startBeside } from '../testing/start-app.js';
import { StreamClient, statusOf } from '../testing/stream-client.js';

let app: StartedApp;
let second: StartedApp;
let trusted: TrustedKeys;
let plans = 0;

interface Joined {
  replica: string;
  region: string;
  environment: string;
  token: string;
}

async function join(region = 'eu-west'): Promise<Joined> {
  const { token } = await good(app.call('POST', '/v1/join-tokens', { region }));
  const environment = region === 'lab' ? 'dev' : 'prod';
  const joined = await good(app.call('POST', '/v1/replicas/join', { token, region, environment, build: '0.1.0' }));
  trusted = new TrustedKeys(joined.trustedKeys);
  return joined as Joined;
}

/** @returns the revision of prod that carries it */
async function write(at = app): Promise<number> {
  const answer = await at.call('POST', '/v1/plans', { id: `plan-${++plans}`, rate: { limit: plans, per: 'second' } });
  return Number(/prod@(\d+)/.exec(answer.headers.get('heliograph-revision') ?? '')?.[1]);
}

const connect = (joined: Joined, to = app): Promise<StreamClient> =>
  StreamClient.connect(to.url, joined.token, trusted);

beforeAll(async () => {
  app = await startApp();
  second = await startBeside(app);
  for (const id of ['prod', 'dev']) await good(app.call('POST', '/v1/environments', { id, position: 1 }));
  for (const [id, environment] of [
    ['eu-west', 'prod'],
    ['us-east', 'prod'],
    ['lab', 'dev'],
  ])
    await good(app.call('POST', '/v1/regions', { id, environment }));
});
afterAll(async () => {
  await second?.stop();
  await app?.stop();
});

describe('the stream', () => {
  let joined: Joined;
  beforeEach(async () => {
    joined = await join();
  });

  it('R1 sends every revision from the one that a replica has, whichever that is, and those that follow', async () => {
    for (let n = 0; n < 4; n++) await write();
    const first = await connect(joined);
    expect(await first.follow()).toMatchObject({ intent: 'changes' });
    const newest = await write();
    await first.reaches(newest);
    await first.end();
    for (let revision = 0; revision <= newest; revision++) {
      const { hash } = revision === 0 ? { hash: '0'.repeat(64) } : await revisionRow(revision);
      const client = await connect(joined);
      client.position = { environment: 'prod', epoch: 0, revision, hash: Buffer.from(hash, 'hex') };
      expect((await client.follow()).intent).toBe(revision === newest ? 'none' : 'changes');
      await client.reaches(newest);
      await client.end();
    }
  });

  it('R1 sends what one master publishes to replicas at the other one, too', async () => {
    const other = await join('us-east');
    const [here, there] = [await connect(joined, app), await connect(other, second)];
    for (const client of [here, there]) await client.follow();
    let newest = 0;
    for (let n = 0; n < 20; n++) newest = await write(n % 2 === 0 ? app : second);
    for (const client of [here, there]) {
      await client.reaches(newest);
      await client.end();
    }
    expect(here.position.hash).toEqual(there.position.hash);
  });

  it('says where the chain stands, signed, without being asked', async () => {
    const client = await connect(joined);
    const intent = await client.follow();
    await client.reaches(client.heads[0] ?? 0);
    await until(() => client.messages.some(({ type }) => type === 'head'), { what: 'a head' });
    expect(client.heads.at(-1)).toBe(client.position.revision);
    expect(intent.head.length).toBeGreaterThan(200);
    await client.end();
  });

  it('R10 tells a fork, one that is ahead and a newer epoch from one that is behind', async () => {
    const newest = await write();
    const client = await connect(joined);
    expect(await client.follow({ revision: newest, hash: 'f'.repeat(64) })).toMatchObject({
      intent: 'full',
      reason: 'fork',
      detail: expect.stringContaining(`revision ${newest} of prod has the hash`),
    });
    expect(await client.follow({ revision: 0, hash: '1'.repeat(64) })).toMatchObject({
      intent: 'full',
      reason: 'fork',
    });
    expect(await client.follow({ revision: newest + 1, hash: 'f'.repeat(64) })).toMatchObject({
      intent: 'full',
      reason: 'ahead',
    });
    const { hash } = await revisionRow(newest);
    expect(await client.follow({ revision: newest, hash, epoch: 1_000 })).toMatchObject({
      intent: 'full',
      reason: 'ahead',
      detail: expect.stringContaining('epoch 1000'),
    });
    await write();
    expect(client.bytes).toBe(0); // who was told to get its state elsewhere is sent nothing
    await client.follow();
    await client.reaches(newest + 1);
    await client.end();
  });

  it('has one connection per replica: a newer one replaces the older, at this master or another', async () => {
    const first = await connect(joined);
    const again = await connect(joined);
    expect(await first.closes()).toBe('4409 replaced');
    const view = () => good(app.call('GET', `/v1/replicas/${joined.replica}`));
    await until(async () => (await view()).connectedTo === app.config.instance, { what: 'the place to be written' });
    const elsewhere = await connect(joined, second);
    expect(await again.closes()).toBe('4409 replaced'); // although it says nothing
    await elsewhere.follow();
    await elsewhere.reaches(await write());
    expect(await view()).toMatchObject({ connected: true, connectedTo: second.config.instance });
    await elsewhere.end();
  });

  it('parts with whoever sends what is no message, and with a replica that was removed or joined again', async () => {
    const bad: (string | Buffer)[] = [
      'no JSON',
      '{}',
      '{"type":"follow","epoch":0,"revision":-1,"hash":""}',
      '{"type":"ack","revision":1}',
      JSON.stringify({ type: 'status', status: statusOf({ ...joined, replica: 'somebody-else' }) }),
      JSON.stringify({ type: 'status', status: statusOf(joined, { epoch: 2 ** 31 }) }), // no database could take it
      ' '.repeat(256 * 1024 + 1),
      Buffer.from('a binary frame that nobody asked for'),
    ];
    for (const message of bad) {
      const client = await connect(joined);
      client.socket.send(message);
      expect(await client.closes()).toBe('4400 bad_message');
    }
    const client = await connect(joined);
    await good(app.call('DELETE', `/v1/replicas/${joined.replica}`));
    expect(await client.closes()).toBe('4401 unauthenticated');
  });

  it('is refused as the REST API refuses, with a problem document', async () => {
    expect(await upgrade({})).toMatchObject({ status: 401, code: 'unauthenticated' });
    expect(await upgrade({ authorization: 'Bearer nobody' })).toMatchObject({ status: 401, code: 'unauthenticated' });
    const authorization = `Bearer ${joined.token}`;
    expect(await upgrade({ authorization: `Bearer ${app.admin}` })).toMatchObject({ status: 401 });
    expect(await upgrade({ authorization }, '/v1/streams')).toMatchObject({ status: 404, code: 'not_found' });
    expect(await upgrade({ authorization, 'sec-websocket-protocol': 'chat' })).toMatchObject({
      status: 400,
      code: 'invalid_request',
      errors: [{ field: 'Sec-WebSocket-Protocol' }],
    });
    expect(await upgrade({ authorization, 'sec-websocket-key': 'short' })).toMatchObject({ status: 400 });
  });

  it('leaves requests alone that ask for HTTP/2 by the way', async () => {
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABk' };
    expect(await raw('GET', '/livez', headers)).toMatchObject({ status: 200, body: { status: 'ok' } });
    const body = JSON.stringify({ id: 'by-h2c', rate: { limit: 1, per: 'second' } });
    const json = { 'content-type': 'application/json', authorization: `Bearer ${app.admin}` };
    expect(await raw('POST', '/v1/plans', { ...headers, ...json }, body)).toMatchObject({
      status: 201,
      body: { id: 'by-h2c' },
    });
  });

  it('is counted in the metrics', async () => {
    const client = await connect(joined);
    await client.follow();
    await client.reaches(await write());
    const { body } = await app.call('GET', '/metrics');
    expect(body).toMatch(/heliograph_stream_connections\{environment="prod"\} [1-9]/);
    expect(body).toMatch(/heliograph_stream_sent_bytes_total\{environment="prod"\} [1-9]/);
    expect(body).toMatch(/heliograph_stream_lag_revisions\{environment="prod"\} 0/);
    await client.end();
  });
});

describe('a master that stops', () => {
  it('says so to those that are connected, who find the other one', async () => {
    const joined = await join();
    const third = await startBeside(app);
    const client = await connect(joined, third);
    await client.follow();
    const stopped = third.stop();
    expect(await client.closes()).toBe('1001 master_stops');
    await stopped;
    const again = await connect(joined, second);
    await again.follow();
    await again.reaches(await write());
    const view = () => good(app.call('GET', `/v1/replicas/${joined.replica}`));
    await until(async () => (await view()).connectedTo === second.config.instance, { what: 'the other to be shown' });
    await again.end();
    await until(async () => !(await view()).connected, { what: 'nothing to be shown' });
  });
});

async function revisionRow(revision: number): Promise<{ hash: string }> {
  return (await good(app.call('GET', `/v1/environments/prod/revisions/${revision}`))) as { hash: string };
}

/** The answer to an upgrade that is refused. */
async function upgrade(headers: Record<string, string>, path = STREAM_PATH): Promise<object> {
  const { status, body } = await raw('GET', path, {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-protocol': STREAM_PROTOCOL,
    ...headers,
  });
  return { status, ...(typeof body === 'object' ? body : {}) };
}

function raw(
  method: string,
  path: string,
  headers: Record<string, string>,
  content?: string,
): Promise<{ status: number; body: object | string }> {
  return new Promise((resolve, reject) => {
    const asked = request(app.url + path, { method, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const json = /json/.test(answer.headers['content-type'] ?? '');
        resolve({ status: answer.statusCode ?? 0, body: json ? (JSON.parse(text) as object) : text });
      });
    });
    asked.on('upgrade', () => reject(new Error('it was upgraded')));
    asked.on('error', reject);
    asked.end(content);
  });
}
