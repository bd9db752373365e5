import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { contentOf, hashOf } from './content.js';
import type { Attempt, Ledger } from './ledger.js';
import type { Echo } from './upstreams.js';
import type { Key, World } from './world.js';

const MEGABYTE = 2 ** 20;
/** A gateway waits so long for a whole head. On a machine that has more to do this process may take longer. */
const PATIENCE_MS = 9000;

/** Clients that are slow, break off, or speak in tunnels, on connections of their own. */
export class OddClients {
  readonly #port: number;

  constructor(
    world: World,
    private readonly ledger: Ledger,
    private readonly goodKey: () => Key,
  ) {
    this.#port = Number(new URL(world.region.gateway).port);
  }

  /** Breaks off before, within or after its request, or within the answer. */
  async abort(): Promise<void> {
    const attempt = this.ledger.begin('broken off');
    const socket = await this.#open();
    const part = randomInt(4);
    const body =
      randomInt(2) === 0 ? ['Content-Length: 100000', 'a part of it'] : ['Transfer-Encoding: chunked', '4\r\npart\r\n'];
    if (part === 0) socket.write(this.#head('GET', '/x', attempt).slice(0, -randomInt(3, 60)));
    if (part === 1) socket.write(this.#head('POST', '/x', attempt, [body[0] as string]) + (body[1] as string));
    if (part >= 2) socket.write(this.#head('GET', `/bytes/${MEGABYTE}?by=length`, attempt));
    if (part === 3) await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => undefined);
    else await sleep(randomInt(20));
    if (randomInt(2) === 0) socket.destroy();
    else socket.resetAndDestroy();
    attempt.brokenOff();
  }

  /** Sends its head in small parts. */
  slowHead(): Promise<void> {
    return this.#exchange('slow head', 'GET', '/x', [], async (socket, head) => {
      for (const part of head.match(/[^]{1,8}/g) ?? []) {
        socket.write(part);
        await sleep(50);
      }
    });
  }

  slowBody(): Promise<void> {
    return this.#exchange('slow body', 'POST', '/x', ['Content-Length: 20000'], async (socket, head) => {
      socket.write(head);
      for (let part = 0; part < 20; part++) {
        await sleep(100);
        socket.write(Buffer.alloc(1000, 1));
      }
    });
  }

  /** Takes a megabyte in small parts, with pauses. */
  slowReader(): Promise<void> {
    return this.#exchange('slow reader', 'GET', `/bytes/${MEGABYTE}?by=length`, [], async (socket, head) => {
      socket.write(head);
      socket.on('data', () => {
        socket.pause();
        setTimeout(() => socket.resume(), 50);
      });
      await Promise.resolve();
    });
  }

  /** Some seconds of messages, each of which has to come back on the tunnel that it was sent on. */
  async tunnel(): Promise<void> {
    const attempt = this.ledger.begin('WebSocket');
    const key = this.goodKey();
    const tunnel = new WebSocket(`ws://127.0.0.1:${this.#port}/steady/v1/tunnel`, {
      headers: { 'x-soak-id': attempt.id, 'x-api-key': key.secret },
    });
    tunnel.on('error', () => undefined);
    let refusal = 0;
    tunnel.on('unexpected-response', (_, { statusCode = 0 }) => {
      refusal = statusCode;
      tunnel.terminate();
    });
    const closed = new Promise<null>((resolve) => tunnel.once('close', () => resolve(null)));
    try {
      await once(tunnel, 'open');
    } catch (error) {
      const was = key.state.possible(attempt.sentAt, performance.now());
      if (refusal === 401 && was.includes('revoked')) return attempt.answered(refusal, null);
      return refusal > 0 ? attempt.answered(refusal, 'no tunnel') : attempt.failed(error);
    }
    const messages = randomInt(2, 40);
    for (let number = 0; number < messages; number++) {
      const answer = new Promise<string>((resolve) =>
        tunnel.once('message', (data: Buffer) => resolve(data.toString())),
      );
      tunnel.send(`${number}`);
      const text = await Promise.race([answer, closed]);
      if (text === null) return attempt.failed(new Error('the tunnel ended'));
      if (text !== `${attempt.id} ${number}`) {
        attempt.answered(101, `${text} came back, and not ${number}`);
        return tunnel.terminate();
      }
      await sleep(randomInt(200));
    }
    tunnel.close();
    await closed;
    attempt.answered(101, null);
  }

  async #exchange(
    kind: string,
    method: 'GET' | 'POST',
    path: string,
    fields: string[],
    write: (socket: Socket, head: string) => Promise<void>,
  ): Promise<void> {
    const attempt = this.ledger.begin(kind);
    const key = this.goodKey();
    const socket = await this.#open();
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    let fault: Error | null = null;
    socket.on('error', (error) => (fault = error));
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    await write(socket, this.#head(method, path, attempt, ['Connection: close', ...fields], key));
    const isLate = performance.now() - attempt.sentAt > PATIENCE_MS;
    await ended;
    const all = Buffer.concat(received);
    const at = all.indexOf('\r\n\r\n');
    const head = all.toString('latin1', 0, Math.max(at, 0));
    const body = all.subarray(at + 4);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1]);
    // what is not whole has no answer
    if (at < 0 || body.length !== length) return attempt.failed(fault ?? new Error(`closed after ${all.length} bytes`));
    const status = Number(head.slice(9, 12));
    const was = key.state.possible(attempt.sentAt, performance.now());
    const isRight = (status === 401 && was.includes('revoked')) || (status === 408 && isLate);
    if (isRight) return attempt.answered(status, null);
    attempt.answered(status, status === 200 ? this.#faultOf(attempt, path, body) : body.toString().slice(0, 300));
  }

  #faultOf({ id }: Attempt, path: string, body: Buffer): string | null {
    if (path.startsWith('/bytes/')) return hashOf([body]) === hashOf(contentOf(id, MEGABYTE)) ? null : 'other bytes';
    const echo = JSON.parse(body.toString()) as Echo;
    return echo.id === id ? null : `the answer to ${echo.id}`;
  }

  async #open(): Promise<Socket> {
    const socket = connect(this.#port, '127.0.0.1').on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }

  #head(method: string, path: string, { id }: Attempt, fields: string[] = [], key = this.goodKey()): string {
    const lines = [
      `${method} /steady/v1${path} HTTP/1.1`,
      'Host: gateway',
      `X-API-Key: ${key.secret}`,
      `X-Soak-Id: ${id}`,
    ];
    return [...lines, ...fields, '', ''].join('\r\n');
  }
}
