import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { closeWhenTaken } from '#platform';
import { BACKLOG } from '../gateway-port.js';
import { BOUNDS } from './bounds.js';
import { ClientConnection } from './client-connection.js';
import type { ClientSide } from './client-side.js';
import type { EngineParts, EngineView } from './engine-parts.js';
import { Exchange } from './exchange.js';
import { H2Connection } from './h2/h2-connection.js';
import { SweepClock } from './sweep-clock.js';

/** A connection of a client, with whatever is under way on it. */
interface Served {
  /** @param now monotonic milliseconds */
  sweep(now: number): void;
  destroy(): void;
}

/** Serves HTTP/1.1 and HTTP/2 on sockets: parses and frames, and leaves what is to be done to `decide`. */
export class Engine implements EngineView {
  readonly state: EngineParts['state'];
  readonly leases: EngineParts['leases'];
  readonly pools: EngineParts['pools'];
  readonly cache: EngineParts['cache'];
  readonly metrics: EngineParts['metrics'];
  readonly log: EngineParts['log'];
  readonly accessLog: EngineParts['accessLog'];
  readonly tail: EngineParts['tail'];
  readonly tracing: EngineParts['tracing'];
  readonly limits: EngineParts['limits'];
  readonly now: EngineParts['now'];
  readonly wallMs: EngineParts['wallMs'];
  idleMs: number;
  drainedSince = 0;
  private readonly clock: SweepClock;
  private readonly server: Server;
  /** that connections come by: this one's, and others whose connections it serves */
  readonly ports: Server[];
  private readonly connections = new Set<Served>();
  private readonly expected = new Set<Socket>();
  private drained: (() => void) | null = null;
  private finished: Promise<void> | null = null;

  constructor(parts: EngineParts) {
    this.state = parts.state;
    this.leases = parts.leases;
    this.pools = parts.pools;
    this.cache = parts.cache;
    this.metrics = parts.metrics;
    this.log = parts.log;
    this.accessLog = parts.accessLog;
    this.tail = parts.tail;
    this.tracing = parts.tracing;
    this.limits = parts.limits;
    this.idleMs = parts.limits.idleMs;
    this.now = parts.now;
    this.wallMs = parts.wallMs;
    this.clock = new SweepClock(parts.now, parts.wallMs);
    this.pools.onFault = (error) => this.fault(error, null);
    // the end of what a client sends is not the end of what it gets
    this.server = createServer({ allowHalfOpen: true, noDelay: true, highWaterMark: 64 * 1024 });
    this.ports = [this.server];
    this.server.maxConnections = parts.limits.connections;
    this.server.on('drop', () => (this.metrics.turnedAway += 1));
    this.server.on('connection', (socket: Socket) => this.serve(socket));
  }

  get sweptAt(): number {
    return this.clock.sweptAt;
  }

  get dateLine(): string {
    return this.clock.dateLine;
  }

  get draining(): boolean {
    return this.drained !== null;
  }

  /**
   * @param port 0: any free one; or the descriptor of one that is open
   * @returns the port
   * @throws (rejects) what listening failed with
   */
  listen(port: number | { fd: number }, host?: string): Promise<number> {
    const where = typeof port === 'number' ? { port, host } : port;
    this.clock.tick();
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ ...where, backlog: BACKLOG }, () => {
        this.server.off('error', reject);
        this.server.on('error', (error) => this.fault(error, null));
        this.clock.start(() => this.sweep());
        resolve((this.server.address() as AddressInfo).port);
      });
    });
  }

  /** A connection that was accepted elsewhere and may be given to `serve`: until it has closed, a drain is not over. */
  expect(socket: Socket): void {
    this.expected.add(socket);
    socket.once('close', () => {
      this.expected.delete(socket);
      this.noteDrained();
    });
  }

  /** Takes a connection over, whoever accepted it. */
  serve(socket: Socket | TLSSocket): void {
    if (this.connections.size >= this.limits.connections) {
      this.metrics.turnedAway += 1;
      socket.destroy();
      return;
    }
    const exchangeOf = (client: ClientSide): Exchange => new Exchange(this, client);
    const onClosed = (connection: Served): void => this.onClosed(connection);
    const secure = socket instanceof TLSSocket;
    this.connections.add(
      secure && socket.alpnProtocol === 'h2'
        ? new H2Connection(this, socket, onClosed)
        : new ClientConnection(this, socket, secure ? 'https' : 'http', exchangeOf, onClosed),
    );
    this.metrics.connections += 1;
    this.metrics.accepted += 1;
  }

  /**
   * Takes no more connections, and resolves when all are closed or the time is over: those that are busy after their next
   * answer, those that are idle for `idleMs` from now on, and expected ones when they were served. Asked again, it takes
   * less time, not more.
   */
  async drain(graceMs: number, idleMs: number = BOUNDS.drainIdleMs): Promise<void> {
    this.idleMs = Math.min(this.idleMs, idleMs);
    this.clock.tick();
    if (!this.draining) this.drainedSince = this.sweptAt;
    this.finished ??= new Promise((resolve) => (this.drained = resolve));
    const timer = setTimeout(() => this.drained?.(), graceMs);
    await Promise.all(this.ports.map((port) => closeWhenTaken(port, this.now)));
    this.sweep();
    this.noteDrained();
    await this.finished;
    clearTimeout(timer);
    this.clock.stop();
    for (const connection of this.connections) connection.destroy();
    for (const socket of this.expected) socket.destroy();
  }

  fault(error: unknown, requestId: string | null): void {
    this.metrics.faults += 1;
    this.log.error({ err: error, requestId }, 'a fault of the gateway ended a request');
  }

  private onClosed(connection: Served): void {
    if (!this.connections.delete(connection)) return;
    this.metrics.connections -= 1;
    this.noteDrained();
  }

  private noteDrained(): void {
    const { connections, expected, ports } = this;
    if (connections.size === 0 && expected.size === 0 && !ports.some(({ listening }) => listening)) this.drained?.();
  }

  /** The one timer: everything that has a time limit has it here. */
  private sweep(): void {
    for (const connection of this.connections) connection.sweep(this.sweptAt);
    try {
      this.pools.sweep();
    } catch (error) {
      this.fault(error, null);
    }
  }
}
