import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '#harness';
import { systemClock } from '#throttle';
import { call, RawClient, type RawServer, rawServer } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { TestGateway } from '../../testing/test-gateway.js';
import type { Limits } from './limits.js';

/** Short, and far enough apart to tell which of them it was. */
const SHORT: Partial<Limits> = { headMs: 400, stallMs: 600, idleMs: 400, bodyRate: 20_000, pipelined: 5 };
const GET = 'GET /weather/v1/a HTTP/1.1\r\nHost: a\r\n\r\n';
const post = (framing: string): string => `POST /weather/v1/a HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

let gateway: TestGateway;
let upstream: RawServer;
/** what the upstream does with what it gets */
let answer: (socket: Socket, bytes: Buffer) => void;
const clients: RawClient[] = [];
const timers: NodeJS.Timeout[] = [];

beforeEach(async () => {
  answer = (socket) => socket.write(OK);
  upstream = await rawServer((socket) => socket.on('data', (bytes) => answer(socket, bytes)));
});

afterEach(async () => {
  for (const timer of timers.splice(0)) clearInterval(timer);
  for (const { socket } of clients.splice(0)) socket.destroy();
  await gateway.stop();
  await upstream.close();
});

async function start(limits: Partial<Limits> = {}): Promise<void> {
  gateway = new TestGateway(null, systemClock, { ...SHORT, ...limits });
  const routes = [{ method: '*' as const, path: '/*' }];
  gateway.load(placed(definitionOf({ security: 'open', routes, upstream: { targets: [{ url: upstream.url }] } })));
  await gateway.listen();
}

async function open(): Promise<RawClient> {
  const client = await RawClient.open(gateway.port);
  clients.push(client);
  return client;
}

/** Sends a little, again and again, for as long as it can. */
function trickle({ socket }: RawClient, text: string, everyMs: number): NodeJS.Timeout {
  const timer = setInterval(() => socket.writable && socket.write(text, 'latin1'), everyMs);
  timers.push(timer);
  return timer;
}

const bytesOf = (text: string, count: number): string => text.repeat(count);
const held = (): number => upstream.sockets.filter((socket) => !socket.destroyed).length;
const outcome = (client: RawClient): string =>
  /^HTTP\/1.1 (\d+)/.exec(client.received)?.[1] ?? client.error ?? 'closed';

/** Nothing of a client is left, neither here nor at the upstream; idle connections to it may be kept. */
const allOver = () =>
  until(() => gateway.metrics.connections === 0 && gateway.metrics.inFlight === 0 && gateway.pools.outstanding === 0, {
    what: 'all of it to be over',
  });

/** Each begins in its own way and never comes to an end by itself; what it is told, and whether an upstream was asked. */
const FORMS: { form: string; begin: (client: RawClient) => void; told: string; asked: boolean }[] = [
  { form: 'sends nothing at all', begin: () => undefined, told: 'closed', asked: false },
  {
    form: 'sends its head byte by byte',
    begin: (client) => trickle(client.write(GET.slice(0, 5)), 'x', 15),
    told: '408',
    asked: false,
  },
  {
    form: 'sends one field after the other',
    begin: (client) => trickle(client.write(GET.slice(0, -2)), 'X: y\r\n', 15),
    told: '408',
    asked: false,
  },
  {
    form: 'stops within a small body',
    begin: (client) => client.write(`${post('Content-Length: 10')}half`),
    told: '408',
    asked: false,
  },
  {
    form: 'sends a small body byte by byte',
    begin: (client) => trickle(client.write(post('Content-Length: 16000')), 'x', 15),
    told: '408',
    asked: false,
  },
  {
    form: 'stops within a long body',
    begin: (client) => client.write(`${post('Content-Length: 1000000')}half`),
    told: '408',
    asked: true,
  },
  {
    form: 'sends a long body byte by byte',
    begin: (client) => trickle(client.write(post('Content-Length: 1000000')), 'x', 15),
    told: '408',
    asked: true,
  },
  {
    form: 'stops between two chunks',
    begin: (client) => client.write(`${post('Transfer-Encoding: chunked')}1\r\nx\r\n`),
    told: '408',
    asked: true,
  },
  {
    form: 'sends a chunk of a byte again and again',
    begin: (client) => trickle(client.write(post('Transfer-Encoding: chunked')), '1\r\nx\r\n', 15),
    told: '408',
    asked: true,
  },
  {
    form: 'sends the size of a chunk digit by digit',
    begin: (client) => trickle(client.write(post('Transfer-Encoding: chunked')), '0', 150),
    told: '408',
    asked: true,
  },
  {
    form: 'sends trailers without an end',
    begin: (client) => trickle(client.write(`${post('Transfer-Encoding: chunked')}0\r\n`), 'X: y\r\n', 15),
    told: '408',
    asked: true,
  },
  {
    form: 'announces a body and waits for 100 Continue',
    begin: (client) => client.write(post('Content-Length: 10\r\nExpect: 100-continue')),
    told: '100',
    asked: false,
  },
];

describe('G4 a client that', () => {
  for (const { form, begin, told, asked } of FORMS) {
    it(`${form} is sent away in time, holds no upstream, and others are served meanwhile`, async () => {
      await start();
      answer = (socket, bytes) => bytes.toString('latin1').startsWith('GET') && socket.write(OK);
      const beginOne = async (): Promise<RawClient> => {
        const client = await open();
        begin(client); // at once: who waits for the others may be idle for too long
        return client;
      };
      const slow = await Promise.all(Array.from({ length: 20 }, beginOne));
      expect((await call(gateway.port, 'GET', '/weather/v1/a')).status).toBe(200);
      await until(() => slow.every(({ closed }) => closed), { what: 'every one to be sent away' });
      expect([...new Set(slow.map(outcome))]).toEqual([told]);
      await allOver();
      expect(upstream.sockets.length > 1).toBe(asked);
      await until(() => held() <= 1, { what: 'their upstream connections to be closed' });
    });
  }

  it('sends its body slowly, but fast enough, gets its answer', async () => {
    await start({ bodyRate: 500 });
    let received = '';
    answer = (socket, bytes) => {
      received += bytes.toString('latin1');
      if (received.endsWith('0\r\n\r\n')) socket.write(OK);
    };
    const client = (await open()).write(post('Transfer-Encoding: chunked'));
    const timer = trickle(client, `64\r\n${bytesOf('x', 100)}\r\n`, 20);
    await until(() => received.length > 8000, { what: 'more than stallMs of it' });
    clearInterval(timer);
    await client.write('0\r\n\r\n').has('ok');
    expect(outcome(client)).toBe('200');
  });

  it('sends its body as slowly as it likes may do so where the setting says 0', async () => {
    await start({ bodyRate: 0 });
    let ended = false;
    answer = (socket, bytes) => {
      ended ||= bytes.toString('latin1').endsWith('0\r\n\r\n');
      if (ended) socket.write(OK);
    };
    const client = (await open()).write(post('Transfer-Encoding: chunked'));
    const timer = trickle(client, '1\r\nx\r\n', 50);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    clearInterval(timer);
    await client.write('0\r\n\r\n').has('ok');
  });

  it('has to wait for an upstream that takes nothing is not the one that is slow', async () => {
    await start();
    let received = 0;
    let stopped = false;
    answer = (socket, bytes) => {
      received += bytes.length;
      if (!stopped) {
        stopped = true;
        socket.pause();
        setTimeout(() => socket.resume(), 1500);
      }
      if (received > 30_000_000) socket.write(OK);
    };
    const client = (await open()).write(post('Content-Length: 30000000'));
    client.write(Buffer.alloc(30_000_000));
    await client.has('ok');
    expect(outcome(client)).toBe('200');
  });

  it('talks with an upstream that answers before the body has ended may take its time', async () => {
    await start();
    answer = (socket, bytes) => {
      if (bytes.toString('latin1').startsWith('POST'))
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      socket.write('2\r\nok\r\n');
      if (bytes.toString('latin1').endsWith('0\r\n\r\n')) socket.write('0\r\n\r\n');
    };
    const client = (await open()).write(post('Transfer-Encoding: chunked'));
    const timer = trickle(client, '1\r\nx\r\n', 50);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    clearInterval(timer);
    client.write('0\r\n\r\n');
    expect((await client.end()).endsWith('\r\n0\r\n\r\n')).toBe(true);
    await allOver();
  });

  it('does not read what it asks for is broken off, whatever it asks', async () => {
    await start();
    const part = Buffer.alloc(200_000);
    answer = (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${part.length}\r\n\r\n`);
      socket.write(part);
    };
    const client = await open();
    client.socket.pause();
    trickle(client, GET, 2);
    await until(() => gateway.metrics.accepted === 1, { what: 'its connection' });
    await allOver();
  });

  it('sends far more requests ahead than it may is broken off, and one of them was asked', async () => {
    await start();
    answer = () => undefined;
    const client = (await open()).write(GET.repeat(2000));
    await client.until(() => client.closed, 'the end');
    expect(client.received).toBe('');
    await allOver();
    expect(upstream.sockets).toHaveLength(1);
  });

  it('closes its side is not waited for, wherever it is', async () => {
    await start();
    answer = () => undefined;
    for (const sent of ['', GET.slice(0, 20), GET, `${post('Content-Length: 100000')}half`, GET + GET]) {
      const client = await open();
      client.socket.allowHalfOpen = true;
      client.socket.end(sent, 'latin1');
      await client.until(() => client.closed, `the end after ${JSON.stringify(sent)}`);
    }
    await allOver();
  });

  it('opens more connections than there may be gets those that there may be, and takes nothing from others for long', async () => {
    await start({ connections: 20 });
    const many = await Promise.all(Array.from({ length: 80 }, open));
    await until(() => many.filter(({ closed }) => closed).length >= 60, {
      what: 'those that are too many to be closed',
    });
    expect(gateway.metrics.connections).toBeLessThanOrEqual(20);
    await allOver(); // idle ones go after their time
    expect((await call(gateway.port, 'GET', '/weather/v1/a')).status).toBe(200);
  });

  it('is slow costs no memory any more when it is gone', async () => {
    await start();
    answer = () => undefined;
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const used = (): number => {
      collect();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const head = `${GET.slice(0, -2)}X: ${bytesOf('x', 15_000)}\r\n`;
    const body = `${post('Content-Length: 16000')}${bytesOf('x', 15_000)}`;
    const round = async (): Promise<void> => {
      const slow = await Promise.all(Array.from({ length: 300 }, open));
      for (const [i, client] of slow.entries()) for (const text of i % 2 ? [head, head] : [body]) client.write(text);
      await until(() => slow.every(({ closed }) => closed), { what: 'every one to be sent away' });
      await allOver();
      clients.length = 0;
    };
    await round();
    let before = used();
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50)); // sockets are given back one turn after the other
      before = Math.min(before, used());
    }
    for (let i = 0; i < 3; i++) await round();
    // 900 clients that each sent 15,000 bytes or more
    await until(() => used() - before < 4_000_000, { what: 'what they cost to be given back', every: 100 });
  });
});
