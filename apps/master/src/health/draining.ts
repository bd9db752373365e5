import type { Socket } from 'node:net';
import { Injectable } from '@nestjs/common';
import { closeWhenTaken, sleep } from '#platform';
import type { FastifyInstance } from 'fastify';

/**
 * How long requests are still let in: connections that a load balancer keeps busy get an answer in that time, and with it
 * `Connection: close`. The system of `npm start` has to be gone in three seconds.
 */
const DRAIN_MS = 300;
/** After the port was closed: what was let in at that moment has sent its request by then. */
const UNUSED_MS = 1_000;

/**
 * Whether this master was told to stop. Whoever closes a connection that is kept open may meet a request on its way, which nobody
 * may repeat unless it says so; so clients are told to close theirs, before the port is.
 */
@Injectable()
export class Draining {
  private draining = false;
  private server: FastifyInstance['server'] | null = null;

  get hasBegun(): boolean {
    return this.draining;
  }

  install(fastify: FastifyInstance): void {
    this.server = fastify.server;
    fastify.addHook('onSend', (_request, reply, payload, done) => {
      if (this.draining) reply.header('connection', 'close');
      done(null, payload);
    });
    // the server closes connections between two requests, but takes one on which nothing came yet for busy, for a minute
    const open = new Set<Socket>();
    fastify.server.on('connection', (socket: Socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    fastify.addHook('preClose', (done) => {
      const closeUnused = (): void => open.forEach((socket) => void (socket.bytesRead === 0 && socket.destroy()));
      setTimeout(closeUnused, UNUSED_MS).unref();
      done();
    });
  }

  /** From now on it is not ready; resolves when the port is closed, and what was let in is all there will be. */
  async begin(): Promise<void> {
    this.draining = true;
    await sleep(DRAIN_MS);
    if (this.server) await closeWhenTaken(this.server, () => performance.now());
  }
}
