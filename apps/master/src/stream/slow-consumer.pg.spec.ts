import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TrustedKeys } from '#artifacts';
import { newToken, secretHash, STREAM_LIMITS } from '#model';
import { until } from '#harness';
import { FleetBook } from '../fleet/fleet-book.js';
import { type PublishingMaster, signer } from '../testing/publishing-master.js';
import { PublishingScene } from '../testing/publishing-scene.js';
import { StreamClient } from '../testing/stream-client.js';
import { StreamServer } from './stream-server.js';

const LIMITS = { ...STREAM_LIMITS, bufferedBytes: 1024 * 1024, stuckMs: 1_000, heartbeatMs: 250, maxBacklog: 60 };
const MIB = 'x'.repeat(1024 * 1024);

const scene = PublishingScene.forEachTest();
const trusted = new TrustedKeys([signer.publicKey]);
let master: PublishingMaster;
let stream: StreamServer;
let http: Server;
let book: FleetBook;
const clients: StreamClient[] = [];

beforeEach(async () => {
  master = await scene.start();
  const { query, log } = master.options;
  book = new FleetBook({ query, instance: 'test', log, now: () => performance.now() });
  const usage = { take: () => Promise.resolve({ refused: null }) };
  const measured = (): void => undefined;
  const refusal = (): null => null;
  stream = new StreamServer({
    query,
    signer,
    refusal,
    fleet: book,
    usage,
    measured,
    tailed: measured,
    limits: LIMITS,
    log,
    now: Date.now,
  });
  master.publications.subscribe((published) => stream.published(published));
  http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  stream.attach(http);
  await scene.pool.query(`INSERT INTO region (id, environment_id) VALUES ('eu', 'prod')`);
  await master.leads('prod');
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.terminate();
  await stream.stop();
  await book.stop();
  http.closeAllConnections();
  http.close();
});

async function replica(id: string): Promise<{ connect: () => Promise<StreamClient> }> {
  const token = newToken('hg_replica');
  await scene.pool.query(`INSERT INTO replica (id, region_id, token_hash, build) VALUES ($1, 'eu', $2, '1')`, [
    id,
    secretHash(token),
  ]);
  const { port } = http.address() as AddressInfo;
  return {
    connect: async () => {
      const client = await StreamClient.connect(`http://127.0.0.1:${port}`, token, trusted);
      clients.push(client);
      return client;
    },
  };
}

/** Makes revisions of a mebibyte each. */
async function publishLarge(count: number): Promise<void> {
  const api = await scene.writer.api(`large-${Math.random().toString(36).slice(2)}`);
  for (let n = 0; n < count; n++) {
    const digest = await scene.writer.release(api, { n, pad: MIB });
    const before = await scene.revision();
    await scene.writer.write((tx) => tx.place('prod', api, '*', digest));
    await until(async () => (await scene.revision()) > before, { what: 'the next revision', every: 5 });
  }
}

const buffered = (): number =>
  Math.max(0, ...stream.standings().flatMap(({ connections }) => connections.map(({ outflow }) => outflow.buffered)));

describe('R12 a replica that does not read', () => {
  it('is disconnected while others get everything, what waits for it is bounded, and nothing is skipped for it later', async () => {
    const [stuck, fine] = [await replica('stuck'), await replica('fine')];
    const [slow, fast] = [await stuck.connect(), await fine.connect()];
    for (const client of [slow, fast]) await client.follow();
    slow.socket.pause();
    let most = 0;
    for (let n = 0; n < 24 && stream.standings()[0]?.connections.length === 2; n++) {
      await publishLarge(1);
      most = Math.max(most, buffered());
    }
    await publishLarge(2);
    await fast.reaches(await scene.revision());
    await until(() => stream.standings()[0]?.connections.length === 1, { what: 'the slow one to be parted with' });
    expect(stream.standings()[0]?.closed.get('slow_consumer')).toBe(1);
    expect(most).toBeLessThanOrEqual(LIMITS.bufferedBytes + 16 * 1024);
    expect(fast.closed).toBeNull();

    slow.socket.resume();
    await slow.closes();
    expect(slow.fault).toBeNull();
    const again = await stuck.connect();
    again.position = slow.position;
    expect((await again.follow()).intent).toBe('changes');
    await again.reaches(await scene.revision());
  });

  it('and one that asks again and again without reading costs no more', async () => {
    const stuck = await (await replica('stuck')).connect();
    await stuck.follow();
    stuck.socket.pause();
    const follow = JSON.stringify({ type: 'follow', epoch: 0, revision: 0, hash: '0'.repeat(64) });
    for (let n = 0; n < 20_000; n++) stuck.socket.send(follow);
    await publishLarge(3);
    let most = 0;
    await until(
      () => {
        most = Math.max(most, buffered());
        return stream.standings()[0]?.closed.get('slow_consumer') === 1;
      },
      { what: 'it to be parted with', within: 60_000 },
    );
    expect(most).toBeLessThanOrEqual(LIMITS.bufferedBytes + 16 * 1024);
  });
});

describe('a replica that is behind', () => {
  it('R1 is sent what is not in memory any more from the database, and goes on without a gap', async () => {
    await publishLarge(20); // more than is kept in memory
    const behind = await (await replica('behind')).connect();
    expect((await behind.follow()).intent).toBe('changes');
    const more = scene.publish(5);
    await behind.reaches(25);
    await more;
    await behind.reaches(await scene.revision());
  });

  it('by too many revisions is told to get its state elsewhere', async () => {
    const one = await replica('one');
    await scene.publish(LIMITS.maxBacklog);
    const client = await one.connect();
    expect((await client.follow()).intent).toBe('changes');
    await client.reaches(LIMITS.maxBacklog);
    await scene.publish(1);
    // it shows in the database a moment before this master knows that it has committed
    await until(() => master.published.some(({ revision }) => revision === 61), { what: 'it to be announced' });
    const again = await one.connect();
    expect(await again.follow()).toMatchObject({
      intent: 'full',
      reason: 'too_far_behind',
      detail: expect.stringContaining('61 revisions are missing'),
    });
    again.position = client.position;
    expect((await again.follow()).intent).not.toBe('full');
    await again.reaches(61);
  });
});

describe('a replica that is ahead of the database', () => {
  it('is told of, and gives the revisions that it has', async () => {
    await scene.publish(5);
    const told: string[] = [];
    stream.onAhead((environment) => told.push(environment));
    const client = await (await replica('ahead')).connect();
    expect(await client.follow({ epoch: 7, revision: 9, hash: 'a'.repeat(64) })).toMatchObject({ reason: 'ahead' });
    expect(told).toEqual(['prod']);
    expect(stream.ahead('prod', 5)).toEqual([{ replica: 'ahead', epoch: 7, revision: 9 }]);
    expect(stream.ahead('prod', 9)).toEqual([]);

    client.socket.on('message', (data, binary) => {
      const message = binary
        ? null
        : (JSON.parse((data as Buffer).toString('utf8')) as { type: string; from: number; to: number });
      if (message?.type !== 'want') return;
      for (let n = message.from; n <= Math.min(message.to, 8); n++) client.socket.send(Buffer.from(`revision ${n}`));
    });
    const frames: string[] = [];
    const { signal } = new AbortController();
    for await (const frame of stream.fetch('prod', 'ahead', 6, 8, signal)) frames.push(frame.toString('utf8'));
    expect(frames).toEqual(['revision 6', 'revision 7', 'revision 8']);
    await expect(stream.fetch('prod', 'nobody', 6, 8, signal).next()).rejects.toThrow('is not connected');
    const asking = stream.fetch('prod', 'ahead', 9, 9, signal).next();
    client.socket.terminate();
    await expect(asking).rejects.toThrow('disconnected');
  });
});

describe('a database that is away for a while', () => {
  it('costs no connection: what was missed comes when it answers again', async () => {
    const client = await (await replica('patient')).connect();
    await client.follow();
    await scene.publish(2);
    await client.reaches(2);
    await scene.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()`,
    );
    await scene.publish(3);
    await client.reaches(5);
    expect(client.closed).toBeNull();
    await until(() => client.heads.at(-1) === 5, { what: 'a head of the newest revision' });
  });
});
