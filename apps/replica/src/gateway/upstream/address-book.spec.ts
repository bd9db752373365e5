import type { LookupAddress } from 'node:dns';
import type { AddressInfo, Server, Socket } from 'node:net';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts, until } from '#harness';
import type { Definition } from '#model';
import { type Answered, call } from '../../testing/clients.js';
import { definitionOf, placed } from '../../testing/gateway-ops.js';
import { MovableClock } from '../../testing/movable-clock.js';
import { TestGateway } from '../../testing/test-gateway.js';

type Done = (error: Error | null, addresses: LookupAddress[]) => void;

const clock = new MovableClock();
let gateway: TestGateway;
let port: number;
let servers: Map<string, { server: Server; sockets: Socket[] }>;
/** what the resolver says; null: nothing */
let answer: string[] | Error | null;
let asked: { host: string; done: Done }[];

const resolve = (host: string, done: Done): void => {
  asked.push({ host, done });
  const given = answer;
  if (given !== null) setImmediate(() => tell(done, given));
};

function tell(done: Done, given: string[] | Error): void {
  if (given instanceof Error) done(given, []);
  else
    done(
      null,
      given.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
}

beforeEach(async () => {
  [asked, answer, servers] = [[], [], new Map()];
  clock.stop();
  gateway = new TestGateway(null, clock, {}, { resolve });
  await gateway.listen();
  port = (await freePorts(1))[0] as number;
});

afterEach(async () => {
  await gateway.stop();
  for (const { server, sockets } of servers.values()) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

/** A server on one of the machine's own addresses that answers with that address. */
async function serve(...addresses: string[]): Promise<void> {
  for (const address of addresses) {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${address.length}\r\n\r\n`;
      socket.on('data', () => socket.write(head + address)).on('error', () => undefined);
    });
    server.listen(port, address);
    await once(server, 'listening');
    expect((server.address() as AddressInfo).port).toBe(port);
    servers.set(address, { server, sockets });
  }
}

function load(more: Partial<Definition['upstream']> = {}): void {
  const targets = [{ url: `http://weather.internal:${port}` }];
  const routes = [{ method: '*' as const, path: '/*' }];
  gateway.load(placed(definitionOf({ security: 'open', routes, upstream: { targets, ...more } })));
}

const get = (): Promise<Answered> => call(gateway.port, 'GET', '/weather/v1/a');

describe('a name of an upstream', () => {
  it('is asked for once for all connections that need it', async () => {
    await serve('127.0.0.2');
    answer = null;
    load();
    const answers = Array.from({ length: 20 }, get);
    await until(() => gateway.pools.outstanding === 20, { what: 'all to wait' });
    for (const { done } of asked) tell(done, ['127.0.0.2']);
    for (const { text } of await Promise.all(answers)) expect(text).toBe('127.0.0.2');
    expect(asked.map(({ host }) => host)).toEqual(['weather.internal']);
  });

  it('with several addresses has connections to all of them', async () => {
    await serve('127.0.0.2', '127.0.0.3', '127.0.0.4');
    answer = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
    load();
    await Promise.all(Array.from({ length: 12 }, get));
    for (const { sockets } of servers.values()) expect(sockets.length).toBeGreaterThan(0);
  });

  it('of whose addresses some refuse connections is reached by the others, whatever the API says of retries', async () => {
    await serve('127.0.0.4');
    answer = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
    load({ retries: 0 });
    for (const { text } of await Promise.all(Array.from({ length: 6 }, get))) expect(text).toBe('127.0.0.4');
  });

  it('that moves is followed; connections to addresses that it has no more end with their request', async () => {
    await serve('127.0.0.2', '127.0.0.3');
    answer = ['127.0.0.2'];
    load();
    expect((await get()).text).toBe('127.0.0.2');
    answer = ['127.0.0.3'];
    clock.move(3000); // less than idle connections are kept, and their period not over
    expect((await get()).text).toBe('127.0.0.2');
    expect(asked).toHaveLength(1);
    clock.move(2001);
    await until(async () => (await get()).text === '127.0.0.3', { what: 'the new address to be used' });
    await until(() => servers.get('127.0.0.2')?.sockets.every(({ destroyed }) => destroyed), {
      what: 'the old connections to be closed',
    });
  });

  it.each([
    ['vanishes', new Error('queryA ENOTFOUND')],
    ['has no address any more', []],
    ['is not answered', null],
  ])('that %s keeps the addresses that it had', async (_, then) => {
    await serve('127.0.0.2');
    answer = ['127.0.0.2'];
    load();
    expect((await get()).text).toBe('127.0.0.2');
    answer = then;
    for (let i = 0; i < 3; i++) {
      const before = asked.length;
      clock.move(6000);
      await until(() => asked.length > before || then === null, { what: 'it to be asked for again' });
      expect((await get()).text).toBe('127.0.0.2');
    }
  });

  it('G3 that nobody answers holds a request for its connect timeout, and later ones no longer', async () => {
    clock.run(); // its timeout passes by itself
    answer = null;
    load({ connectTimeoutMs: 300, retries: 0 });
    const many = await Promise.all(Array.from({ length: 20 }, get));
    for (const one of many) expect(one).toMatchObject({ status: 504, code: 'upstream_timeout' });
    clock.move(5001);
    expect(await get()).toMatchObject({ status: 503, code: 'no_healthy_upstream' });
    expect(asked).toHaveLength(1);
    await serve('127.0.0.2');
    for (const { done } of asked) tell(done, ['127.0.0.2']);
    clock.move(20_000);
    expect((await get()).text).toBe('127.0.0.2');
  });

  it('that nobody knows is asked for again when somebody needs it', async () => {
    answer = new Error('queryA ENOTFOUND');
    load();
    expect(await get()).toMatchObject({ status: 503, code: 'no_healthy_upstream' });
    await serve('127.0.0.2');
    answer = ['127.0.0.2'];
    expect((await get()).text).toBe('127.0.0.2');
  });
});
