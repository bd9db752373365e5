import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { Client } from 'pg';
import { expect, it } from 'vitest';
import { asHelioError } from './problem.filter.js';

/** What a driver throws that connects to a server which only says so: an ErrorResponse, and the end. */
async function refusedWith(code: string): Promise<unknown> {
  const fields = ['SFATAL', 'VFATAL', `C${code}`, 'Mnot now'].map((field) => `${field}\0`).join('');
  const length = Buffer.alloc(4);
  length.writeInt32BE(4 + fields.length + 1);
  const server = createServer((socket) => {
    socket.once('data', () => socket.end(Buffer.concat([Buffer.from('E'), length, Buffer.from(`${fields}\0`)])));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    await new Client({ host: '127.0.0.1', port, user: 'helio', database: 'helio' }).connect();
  } catch (error) {
    return error;
  } finally {
    server.close();
  }
  throw new Error('it was let in');
}

it.each([
  ['starts up', '57P03'],
  ['is shut down', '57P01'],
  ['has no connection left', '53300'],
])('a database that %s while a request connects is 503, and worth another try', async (_, code) => {
  const error = asHelioError(await refusedWith(code));
  expect(error).toMatchObject({ code: 'database_unavailable', status: 503, headers: { 'retry-after': '1' } });
});

it('a database that refuses the master for good is a fault, which the log tells of', async () => {
  expect(asHelioError(await refusedWith('28P01')).code).toBe('internal');
});
