import { hash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { deltaName, headName, HttpReader } from '#artifacts';
import { until } from '#harness';
import { Follower } from '../testing/follower.js';
import { keyOp } from '../testing/sample-ops.js';
import { ScriptedMaster } from '../testing/scripted-master.js';
import { StoreSource } from './revision-source.js';

/** Two masters behind one address that asks them in turn: each has a head of its own, and both have every revision. */
let f: Follower;
let balancer: Server;
/** the heads of the two */
let heads: [Buffer, Buffer];
/** how often each was asked for it, and answered with it */
let given: [number, number];

beforeEach(async () => {
  let turn = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url !== `/${headName('prod')}`) {
      const found = await f.store.get(request.url?.slice(1) ?? '', 1_000_000);
      response.writeHead(found ? 200 : 404).end(found?.bytes);
      return;
    }
    const who = (turn++ % 2) as 0 | 1;
    given[who] += 1;
    const etag = `"${hash('sha256', heads[who])}"`;
    const isSame = request.headers['if-none-match'] === etag;
    response.writeHead(isSame ? 304 : 200, { etag }).end(isSame ? undefined : heads[who]);
  };
  balancer = createServer((request, response) => void answer(request, response)).listen(0, '127.0.0.1');
  await once(balancer, 'listening');
  const url = `http://127.0.0.1:${(balancer.address() as AddressInfo).port}`;
  // its own store stays empty of heads, as one that is gone
  f = new Follower({ others: [new StoreSource(new HttpReader(url), 'prod', 'peer')] });
  given = [0, 0];
});
afterEach(async () => {
  await f.remove();
  balancer.closeAllConnections();
  balancer.close();
});

const revision = async (secret: string): Promise<void> => {
  const { bytes, header } = f.chain.seal([keyOp(secret)]);
  await f.store.create(deltaName('prod', header.revision), bytes);
};
const bothAsked = (times: number): Promise<unknown> => {
  const goal = given.map((count) => count + times);
  return until(() => given.every((count, who) => count >= (goal[who] ?? 0)), { what: `${times} looks at each` });
};
const at = (wanted: number): Promise<unknown> =>
  until(() => f.state.position.revision === wanted, { what: `revision ${wanted}`, every: 5 });

it('R4 of two masters behind one address the one whose head is older says nothing new, and nothing of it is refused', async () => {
  await revision('a');
  const first = Date.now();
  heads = [f.chain.head({ issuedAt: first }), f.chain.head({ issuedAt: first + 20_000 })];
  f.start();
  await at(1);
  await bothAsked(3);
  for (const [n, secret] of ['b', 'c'].entries()) {
    const before = f.chain.head({ issuedAt: first + 30_000 + n });
    await revision(secret);
    heads = n === 0 ? [f.chain.head(), before] : [before, f.chain.head()];
    await at(n + 2);
    await bothAsked(3);
  }
  expect(f.refused).toEqual([]);
  expect(f.agent.sync.faults['head 1']).toBeUndefined();
  expect(f.agent.sync).toMatchObject({ revision: 3, head: 3 });
});

it('R4 a master that hangs behind for longer than a head is good is told, though the other one is fresh', async () => {
  await revision('a');
  const now = Date.now();
  const hanging = f.chain.head({ issuedAt: now - 100_000, expiresAt: now - 10_000 });
  await revision('b');
  heads = [hanging, f.chain.head({ issuedAt: now })];
  f.start();
  expect(await f.faults('head_replayed')).toBe('the head names revision 1; revision 2 was seen before');
  await at(2);
  heads = [heads[1], heads[1]];
  await until(() => !f.agent.sync.faults['head 1'], { what: 'both to be level' });
});

it('R4 two that both stand still are told as frozen when the newest head of them has expired', async () => {
  await revision('a');
  const now = Date.now();
  const dies = { expiresAt: now + 400 };
  heads = [f.chain.head({ issuedAt: now - 1, ...dies }), f.chain.head({ issuedAt: now, ...dies })];
  f.start();
  await at(1);
  expect(await f.faults('frozen')).toContain('has expired');
  expect(f.refused).toEqual([]);
});

it('R10 a store has the head of the term before for a moment: it is outdated, and refused when a master signs it again', async () => {
  await f.remove();
  const master = await ScriptedMaster.start();
  try {
    f = new Follower({ masters: [master.url], streamPollMs: 20 });
    await revision('a');
    const now = Date.now();
    await f.chain.putHead(f.store, f.chain.head({ issuedAt: now - 1000 }));
    master.onFollow = (one) => one.intent('changes', f.chain.head({ issuedAt: now - 1000 }));
    f.start();
    const connection = await master.following();
    connection.frame((await f.store.get(deltaName('prod', 1), 10_000))?.bytes ?? Buffer.alloc(0));
    await at(1);
    await until(() => f.looks.some(({ answer }) => answer === 'unchanged'), { what: 'the store to be well' });
    connection.head(f.chain.head({ epoch: 2, issuedAt: now }));
    expect(await f.faults('head_outdated')).toBe(
      'the head is of epoch 1; epoch 2 was seen before, and nobody has signed a head here since',
    );
    expect(f.refused).toEqual([]);
    await f.chain.putHead(f.store, f.chain.head({ issuedAt: now + 1 }));
    await f.faults('older_epoch');
    expect(f.refused).toContain('older_epoch');
    await f.chain.putHead(f.store, f.chain.head({ epoch: 2, issuedAt: now + 2 }));
    await until(() => !f.agent.sync.faults['head 0'], { what: 'the store to be well again' });
  } finally {
    await master.stop();
  }
});
