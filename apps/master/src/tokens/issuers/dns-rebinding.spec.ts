import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { guardedFetch } from './guarded-fetch.js';
import { Reachable } from '../../outbound/reachable.js';

/** One may be asked; the other one is the secret service inside. */
const [OUTSIDE, INSIDE] = ['127.0.0.2', '127.0.0.1'];
const outsideOnly = new Reachable([`${OUTSIDE}/32`], 'HELIO_ISSUER_NETWORKS');

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function listen(address: string, port: number, path: string): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (request.url === path) return void response.end('{"keys":[]}');
    response.writeHead(302, { location: path, connection: 'close' }).end();
  });
  servers.push(server);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, address, resolve));
  return { port: (server.address() as AddressInfo).port, asked };
}

/** Servers at both addresses on one port, and a name that stands for something else each time that it is resolved. */
async function scene(answers: string[][]) {
  const outside = await listen(OUTSIDE, 0, '/keys');
  const inside = await listen(INSIDE, outside.port, '/keys');
  let lookups = 0;
  const fetch = (path: string) =>
    guardedFetch(`http://rebind.example:${outside.port}${path}`, null, outsideOnly, (_name, _options, callback) => {
      const addresses = answers[Math.min(lookups++, answers.length - 1)] ?? [];
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 })),
      );
    });
  return { outside, inside, fetch, lookups: () => lookups };
}

describe('a name that stands for something else the second time', () => {
  it('is resolved once for a connection: what was checked is what is connected to', async () => {
    const { outside, inside, fetch, lookups } = await scene([[OUTSIDE], [INSIDE]]);
    expect((await fetch('/keys')).json).toEqual({ keys: [] });
    expect(lookups()).toBe(1);
    expect([outside.asked, inside.asked]).toEqual([['/keys'], []]);
  });

  it('is checked again for another connection of the same fetch', async () => {
    const { outside, inside, fetch, lookups } = await scene([[OUTSIDE], [INSIDE]]);
    await expect(fetch('/moved')).rejects.toThrow('127.0.0.1 is no public address');
    expect(lookups()).toBe(2);
    expect([outside.asked, inside.asked]).toEqual([['/moved'], []]);
  });

  it.each([[[OUTSIDE, INSIDE]], [[INSIDE, OUTSIDE]]])(
    'is not connected to at all, if one of its addresses is private: %j',
    async (addresses) => {
      const { outside, inside, fetch } = await scene([addresses]);
      await expect(fetch('/keys')).rejects.toThrow('127.0.0.1 is no public address');
      expect([outside.asked, inside.asked]).toEqual([[], []]);
    },
  );

  it('is not connected to, if it stands for nothing', async () => {
    await expect((await scene([[]])).fetch('/keys')).rejects.toThrow('has no address');
  });
});
