import type { Server, Socket } from 'node:net';
import type { Logger } from '#platform';
import { BOUNDS } from '../../gateway/engine/bounds.js';
import { ClientConnection } from '../../gateway/engine/client-connection.js';
import type { ClientSide } from '../../gateway/engine/client-side.js';
import type { ConnectionHost } from '../../gateway/engine/engine-parts.js';
import { LIMITS } from '../../gateway/engine/limits.js';
import { SweepClock } from '../../gateway/engine/sweep-clock.js';
import type { Ask } from '../ask.service.js';
import { DoorExchange } from './door-exchange.js';
import type { Others } from './others.js';

/** The connections of the admin port. They are read by the gateway's engine: as strictly, and with the same bounds. */
export class AdminConnections implements ConnectionHost {
  readonly limits = LIMITS;
  draining = false;
  drainedSince = 0;
  idleMs = LIMITS.idleMs;
  private readonly connections = new Set<ClientConnection>();
  private readonly clock = new SweepClock(() => performance.now(), Date.now);

  constructor(
    private readonly ask: Ask,
    private readonly others: Others,
    private readonly log: Logger,
  ) {
    this.clock.start(() => this.sweep());
  }

  get sweptAt(): number {
    return this.clock.sweptAt;
  }

  get dateLine(): string {
    return this.clock.dateLine;
  }

  /** Takes the place of what a server does with connections. @param event that it tells of them by */
  serve(server: Server, event: 'connection' | 'secureConnection'): void {
    server.maxConnections = this.limits.connections;
    server.removeAllListeners(event);
    const scheme = event === 'connection' ? 'http' : 'https';
    server.on(event, (socket: Socket) => {
      const exchangeOf = (client: ClientSide): DoorExchange => new DoorExchange(this, client, this.ask, this.others);
      const onClosed = (connection: ClientConnection): void => void this.connections.delete(connection);
      this.connections.add(new ClientConnection(this, socket, scheme, exchangeOf, onClosed));
    });
  }

  fault(error: unknown, requestId: string | null): void {
    this.log.error({ err: error, requestId }, 'a request to the admin port failed');
  }

  /** Closes what is idle, and what is not within a second or so. */
  async close(): Promise<void> {
    this.draining = true;
    this.idleMs = BOUNDS.drainIdleMs;
    const end = performance.now() + BOUNDS.lingerMs;
    while (this.connections.size > 0 && performance.now() < end) {
      this.clock.tick();
      this.sweep();
      await new Promise((resolve) => setTimeout(resolve, BOUNDS.sweepMs / 4));
    }
    this.clock.stop();
    for (const connection of this.connections) connection.destroy();
  }

  private sweep(): void {
    for (const connection of this.connections) connection.sweep(this.sweptAt);
  }
}
