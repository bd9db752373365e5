import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { until } from '#harness';
import type { TailWish } from '#model';
import { afterEach, describe, expect, it } from 'vitest';
import type { MasterTalk } from '../publishing/index.js';
import { TailStream, type TailStreamOptions } from './tail-stream.js';
import { Tails } from './tails.js';

const replica = { id: 'r1', region: 'eu-west', environment: 'prod', tokenHash: Buffer.alloc(32), since: '' };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

interface Scene {
  socket: Socket;
  response: ServerResponse;
  asked: TailWish[];
  ran: Promise<void>;
  tell: (lines: string[], dropped?: number) => void;
}

/** One reader on a real connection, whom a replica tells what the test likes. */
async function start(more: Partial<TailStreamOptions> = {}): Promise<Scene> {
  const asked: TailWish[] = [];
  const tails = new Tails({ say: () => true, onSaid: () => undefined } as unknown as MasterTalk);
  tails.onAsk((_, wish) => asked.push(wish));
  const replicas = [{ id: 'r1', connected: true }];
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
  const stream = new TailStream(
    {
      tails,
      of: { region: 'eu-west', replica: null },
      filter: {},
      replicas,
      look: () => Promise.resolve(replicas),
      now: () => performance.now(),
      ...more,
    },
    response,
  );
  const ran = stream.run();
  cleanups.push(
    () => stream.stop(),
    () => socket.destroy(),
    () => ran,
    () => server.close(),
  );
  const tail = (await until(() => asked[0], { what: 'a wish' })).tail;
  return { socket, response, asked, ran, tell: (lines, dropped = 0) => tails.heard(replica, { tail, lines, dropped }) };
}

/** Tells as much as the system takes on its way. @returns how many lines */
async function fill(response: ServerResponse, tell50: () => void): Promise<number> {
  let told = 0;
  for (; !response.writableNeedDrain; told += 50) {
    tell50();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return told;
}

describe('a reader of requests', () => {
  it('that is slow loses lines, which are counted, and holds nothing but a bounded number of them', async () => {
    const { socket, response, tell } = await start();
    socket.pause();
    const line = JSON.stringify({ path: 'x'.repeat(3000) });
    let told = await fill(response, () => tell(Array.from({ length: 50 }, () => line)));
    // what waits here, and then more
    for (let n = 0; n < 40; n++) tell(Array.from({ length: 50 }, () => line));
    told += 40 * 50;
    expect(response.writableLength).toBeLessThan(1024 * 1024);
    let text = '';
    socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
    socket.resume();
    const seen = (): number =>
      (text.match(/event: line\n/g) ?? []).length +
      [...text.matchAll(/"lines":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    await until(() => seen() === told, { what: 'each line to be told or counted' });
    expect(text).toMatch(/event: dropped\ndata: {"lines":\d+}/);
    expect((text.match(/event: line\n/g) ?? []).length).toBeLessThan(told);
    tell([line]);
    await until(() => seen() === told + 1, { what: 'it to go on' });
  });

  it('that takes nothing any more is parted with, and replicas are told so', async () => {
    const { socket, response, asked, ran, tell } = await start({ stuckMs: 50 });
    socket.pause();
    const line = JSON.stringify({ path: 'x'.repeat(3000) });
    await fill(response, () => tell(Array.from({ length: 50 }, () => line)));
    await ran;
    expect([response.destroyed, asked.at(-1)?.forMs]).toEqual([true, 0]);
  });

  it('is parted with when the time is over, and replicas are told so', async () => {
    const { asked, ran, response } = await start({ mostMs: 10 });
    await ran;
    expect([response.writableEnded, asked.at(-1)?.forMs]).toEqual([true, 0]);
  });

  it('keeps its replicas while the database does not answer', async () => {
    const { socket, tell } = await start({ look: () => Promise.reject(new Error('away')) });
    let text = '';
    socket.on('data', (data: Buffer) => (text += data.toString('latin1')));
    tell([]);
    await until(() => text.includes('{"followed":["r1"],"missing":[]}'), { what: 'the replica to be there' });
  });
});
