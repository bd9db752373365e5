import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The network between replicas and their Redis. Cut, it passes nothing and refuses nothing, as when a cable is out; what was
 * sent meanwhile arrives when it is whole again, as TCP has it.
 */
export class RedisLink {
  /** bytes that came from replicas */
  asked = 0;
  private isCut = false;
  private delayMs: (() => number) | null = null;
  private readonly sockets = new Set<Socket>();
  private readonly server = createServer((from) => this.join(from));

  private constructor(private target: number) {}

  /** @param target port of the Redis */
  static async open(target: number): Promise<RedisLink> {
    const link = new RedisLink(target);
    link.server.listen(0, '127.0.0.1');
    await once(link.server, 'listening');
    return link;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Another Redis in the place of the one that is gone. */
  lead(target: number): void {
    this.target = target;
  }

  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) socket.pause();
  }

  heal(): void {
    this.isCut = false;
    for (const socket of this.sockets) socket.resume();
  }

  /** Whatever passes, either way, takes so long from now on, in its order; null: as long as it takes. */
  slow(delayMs: (() => number) | null): void {
    this.delayMs = delayMs;
  }

  async close(): Promise<void> {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await once(this.server, 'close');
  }

  private join(from: Socket): void {
    const to = connect(this.target, '127.0.0.1');
    from.on('data', (chunk) => (this.asked += chunk.length));
    this.pass(from, to);
    this.pass(to, from);
  }

  private pass(from: Socket, to: Socket): void {
    this.sockets.add(from);
    let before: Promise<unknown> = Promise.resolve();
    from.on('data', (chunk) => {
      const passed = this.delayMs === null ? null : sleep(this.delayMs());
      before = before.then(() => passed).then(() => to.write(chunk));
    });
    if (this.isCut) from.pause();
    // whatever ends one side ends the other: a Redis that is killed closes its connections
    from.on('error', () => undefined);
    from.on('close', () => {
      this.sockets.delete(from);
      to.destroy();
    });
  }
}
