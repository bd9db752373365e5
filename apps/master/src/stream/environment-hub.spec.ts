import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { GENESIS_HASH } from '#artifacts';
import { ChainMaker } from '#artifacts/testing';
import { until } from '#harness';
import { STREAM_LIMITS } from '#model';
import type { Standing } from '../publishing/standing.js';
import { EnvironmentHub } from './environment-hub.js';
import type { StreamChain } from './stream-chain.js';
import { StreamConnection } from './stream-connection.js';

const hashes = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)] as const;
const standing = (epoch: number, hash: Buffer, revision = 5): Standing => ({
  environment: 'prod',
  epoch,
  revision,
  hash,
  root: hash,
  snapshot: null,
});
let row = standing(3, hashes[0]);

/** A hub whose database says what `row` does. */
function hubOf(): EnvironmentHub {
  const chain: Pick<StreamChain, 'standing' | 'hashOf' | 'after'> = {
    standing: () => Promise.resolve(row),
    hashOf: () => Promise.resolve(row.hash),
    after: () => Promise.resolve([]),
  };
  const told = (): void => undefined;
  const options = {
    query: () => Promise.resolve([]),
    signer: new ChainMaker().signer,
    refusal: () => null,
    fleet: { connected: told, disconnected: told, acknowledged: told, reported: told },
    usage: { take: () => Promise.resolve({ refused: null }) },
    measured: told,
    tailed: told,
    limits: STREAM_LIMITS,
    log: pino({ level: 'silent' }),
    now: () => 1_000,
  };
  return new EnvironmentHub('prod', chain as StreamChain, options, told);
}

async function asks(hub: EnvironmentHub, epoch: number, revision = 6): Promise<{ hash: string; epoch: number }> {
  const { head } = await hub.intent({ type: 'follow', epoch, revision, hash: 'aa'.repeat(32) });
  const { hash, epoch: said } = JSON.parse(head);
  return { hash, epoch: said };
}

it('R10 a hub whose database has another chain now, of the same length, speaks for that one', async () => {
  row = standing(3, hashes[0]);
  const hub = hubOf();
  expect(await asks(hub, 3)).toEqual({ hash: hashes[0].toString('hex'), epoch: 3 });
  row = standing(6, hashes[1]);
  expect(await asks(hub, 6)).toEqual({ hash: hashes[1].toString('hex'), epoch: 6 });
});

it('a term that begins is in the head of whoever connects after it, without any revision', async () => {
  row = standing(3, hashes[0]);
  const hub = hubOf();
  await asks(hub, 3, 5);
  row = standing(4, hashes[0]);
  hub.published({ environment: 'prod', revision: 5, xids: null, sealed: null });
  await until(async () => (await asks(hub, 3, 5)).epoch === 4, { what: 'the head to be of the new epoch' });
});

it('R9 a head follows a revision soon, so that a replica can vouch for it when everything else is gone', async () => {
  const maker = new ChainMaker();
  row = standing(1, GENESIS_HASH, 0);
  const hub = hubOf();
  await asks(hub, 1, 0);
  const heads: string[] = [];
  const connection = { replica: { id: 'r' }, pump: () => undefined, tell: (head: string) => heads.push(head) };
  hub.connections.set('r', connection as unknown as StreamConnection);
  const { bytes, hash, header } = maker.seal([]);
  const { epoch, issuedAt, revision } = header;
  hub.published({ environment: 'prod', revision, xids: null, sealed: { epoch, issuedAt, revision, hash, bytes } });
  await until(() => heads.length > 0, { what: 'the head' });
  expect(JSON.parse(heads[0] ?? '')).toMatchObject({ revision: 1, hash: hash.toString('hex') });
});

it('R10 who was ahead and asks anew is not parted with for what it had said before', async () => {
  row = standing(3, hashes[0]);
  const hub = hubOf();
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    client.terminate();
    server.close();
  });
  const [[socket]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [[WebSocket], unknown];
  const never = new Promise<never>(() => undefined);
  const feed = Object.assign(Object.create(hub) as EnvironmentHub, {
    intent: (follow: Parameters<EnvironmentHub['intent']>[0]) => (follow.revision === 0 ? never : hub.intent(follow)),
  });
  const replica = { id: 'r', region: 'eu-west', environment: 'prod', tokenHash: Buffer.alloc(32), since: '' };
  const connection = new StreamConnection(replica, socket, feed, STREAM_LIMITS);
  const follow = (revision: number): void =>
    client.send(JSON.stringify({ type: 'follow', epoch: 3, revision, hash: 'aa'.repeat(32) }));
  follow(9);
  const [told] = (await once(client, 'message')) as [Buffer];
  expect(JSON.parse(told.toString())).toMatchObject({ intent: 'full', reason: 'ahead' });
  follow(0);
  await until(() => connection.claim?.revision === 0, { what: 'the second question to arrive' });
  connection.overtaken({ epoch: 3, revision: 9 });
  expect(connection.endedFor).toBeNull();
});
