import type { PoolRules } from '../decide/compile/compile-upstream.js';
import { BOUNDS } from '../engine/bounds.js';
import { type ConnectionOwner, UpstreamConnection, type UpstreamUser } from './upstream-connection.js';
import { type Origin, originOf, type TlsMemory } from './upstream-socket.js';

/** An upstream that says how long it keeps a connection may be a little faster than it says. */
const HINT_MARGIN_MS = 1000;

/**
 * Connections to one origin: kept when idle, the one that was used last is used first, so that those that a quiet time
 * does not need grow old and are closed. Requests wait for one in the order in which they came.
 */
export class TargetPool implements ConnectionOwner {
  readonly origin: Origin;
  readonly tls: TlsMemory = { session: undefined };
  /** the lines that each request to it begins its fields with */
  readonly lines: string;
  /** ... of one that asks for WebSocket */
  readonly upgradeLines: string;
  /** requests under way, those that wait included */
  outstanding = 0;
  /** monotonic milliseconds: since when it is idle */
  usedAt = 0;
  closed = false;
  private readonly connections = new Set<UpstreamConnection>();
  private readonly tunnels = new Set<UpstreamConnection>();
  private readonly connecting = new Set<UpstreamConnection>();
  private readonly idle: UpstreamConnection[] = [];
  private readonly waiting: UpstreamUser[] = [];

  /** @param now monotonic milliseconds; may be some hundred behind */
  constructor(
    private readonly rules: PoolRules,
    private readonly now: () => number,
    /** a bug was caught */
    readonly onFault: (error: unknown) => void,
  ) {
    this.origin = originOf(rules.origin);
    this.lines = `host: ${this.origin.authority}\r\nconnection: keep-alive\r\n`;
    this.upgradeLines = `host: ${this.origin.authority}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n`;
  }

  /** There may be no more connections, and no more requests that wait for one. */
  get full(): boolean {
    const { connections, connecting, waiting, idle, rules } = this;
    return (
      idle.length === 0 &&
      connections.size >= rules.maxConnections &&
      waiting.length - connecting.size >= rules.maxWaiting
    );
  }

  /** Gives the user a connection, at once if one is idle. */
  request(user: UpstreamUser): void {
    let connection = this.idle.pop();
    while (connection && !connection.usable) connection = this.idle.pop();
    if (connection) {
      connection.user = user;
      user.onConnection(connection);
      return;
    }
    this.waiting.push(user);
    this.connectMore();
  }

  /** The user waits no more. */
  cancel(user: UpstreamUser): void {
    const index = this.waiting.indexOf(user);
    if (index >= 0) this.waiting.splice(index, 1);
  }

  give(connection: UpstreamConnection): void {
    if (this.connecting.delete(connection)) connection.deadline = this.now() + BOUNDS.upstreamIdleMs;
    const user = this.waiting.shift();
    if (user) this.hand(connection, user);
    else this.idle.push(connection);
  }

  keeps(connection: UpstreamConnection, seconds: number): boolean {
    const idleMs = seconds < 0 ? BOUNDS.upstreamIdleMs : seconds * 1000 - HINT_MARGIN_MS;
    connection.deadline = this.now() + idleMs;
    return idleMs > 0;
  }

  fail(connection: UpstreamConnection, failure: Error | null, timedOut: boolean): void {
    this.connecting.delete(connection);
    const user = failure ? this.waiting.shift() : undefined;
    try {
      if (failure) user?.onUnreachable(failure, timedOut);
    } catch (bug) {
      user?.onFault(bug);
    }
    this.forget(connection);
  }

  letGo(connection: UpstreamConnection): void {
    this.connections.delete(connection);
    this.tunnels.add(connection);
    this.connectMore();
  }

  forget(connection: UpstreamConnection): void {
    this.connections.delete(connection);
    this.tunnels.delete(connection);
    const index = this.idle.indexOf(connection);
    if (index >= 0) this.idle.splice(index, 1);
    this.connectMore();
  }

  sweep(now: number): void {
    for (const connection of this.connecting)
      if (connection.deadline < now) connection.close(new Error('no connection in time'), true);
    for (const connection of this.idle.filter(({ deadline }) => deadline < now)) connection.close(null);
  }

  close(): void {
    this.closed = true;
    this.waiting.length = 0;
    for (const connection of [...this.connections, ...this.tunnels]) connection.close(null);
  }

  private hand(connection: UpstreamConnection, user: UpstreamUser): void {
    connection.user = user;
    try {
      user.onConnection(connection);
    } catch (bug) {
      user.onFault(bug);
    }
  }

  private connectMore(): void {
    while (
      !this.closed &&
      this.connecting.size < this.waiting.length &&
      this.connections.size < this.rules.maxConnections
    ) {
      const connection = new UpstreamConnection(this);
      connection.deadline = this.now() + this.rules.connectTimeoutMs;
      this.connections.add(connection);
      this.connecting.add(connection);
    }
  }
}
