import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { postgres } from '#harness';
import { impatientClient } from './impatient-client.js';

/** Between the pool and PostgreSQL: takes what comes and passes on nothing any more, as long as it is told so of a connection. */
let wire: Server;
let silent: Set<Socket>;
let passing: Set<Socket>;
let pool: pg.Pool;

beforeEach(async () => {
  silent = new Set();
  passing = new Set();
  const target = new URL(postgres().url);
  const port = Number(target.port);
  wire = createServer((near) => {
    const far = connect(port, target.hostname);
    passing.add(near);
    near.on('data', (bytes) => void (silent.has(near) || far.write(bytes)));
    far.on('data', (bytes) => void (silent.has(near) || near.write(bytes)));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on('error', () => undefined).on('close', () => other.destroy());
  }).listen(0, '127.0.0.1');
  await once(wire, 'listening');
  target.port = `${(wire.address() as AddressInfo).port}`;
  pool = new pg.Pool({ connectionString: target.href, max: 2, Client: impatientClient(3_000) });
  pool.on('error', () => undefined);
});
afterEach(async () => {
  await pool.end();
  for (const socket of passing) socket.destroy();
  wire.close();
});

it('a connection on which PostgreSQL has fallen silent is given up, and the pool has another one for the next question', async () => {
  await Promise.all([pool.query('SELECT pg_sleep(0.1)'), pool.query('SELECT pg_sleep(0.1)')]); // two connections
  expect(pool.totalCount).toBe(2);
  for (const socket of passing) silent.add(socket);
  const asked = Array.from({ length: 2 }, () => pool.query('SELECT 1'));
  for (const answer of await Promise.allSettled(asked))
    expect(answer).toMatchObject({
      status: 'rejected',
      reason: { message: expect.stringMatching(/said nothing for 3 s|terminated/) },
    });
  expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
});

it('one on which nothing is asked stays, however long', async () => {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await client.query('COMMIT');
  } finally {
    client.release();
  }
});
