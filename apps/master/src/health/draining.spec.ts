import { type AddressInfo, connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import fastify from 'fastify';
import { expect, it } from 'vitest';
import { Draining } from './draining.js';

/** Longer than requests are let in. */
const STANDSTILL_MS = 600;

it('who is connected, and was not taken yet, when a master closes its port is answered', async () => {
  const app = fastify({ return503OnClosing: false });
  app.post('/', () => 'done');
  const draining = new Draining();
  draining.install(app);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;

  const ended = draining.begin().then(() => app.close());
  const clients = Array.from({ length: 5 }, () => connect(port, '127.0.0.1'));
  await new Promise<void>((resolve) => process.nextTick(resolve)); // connected, as the kernel sees it
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STANDSTILL_MS); // the time is over before anybody is taken
  const answers = clients.map((socket) => {
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n');
    return buffer(socket);
  });
  for (const answer of await Promise.all(answers))
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*done$/);
  await ended;
});
