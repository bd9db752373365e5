import type { LookupAddress } from 'node:dns';
import type { PoolRules } from '../decide/compile/compile-upstream.js';
import { BOUNDS } from '../engine/bounds.js';
import type { PoolParts } from './pool-parts.js';
import { type ConnectionOwner, UpstreamConnection, type UpstreamUser } from './upstream-connection.js';
import { type Dialling, diallingOf } from './upstream-socket.js';
import { TlsFailure } from './upstream-tls.js';

/** An upstream that says how long it keeps a connection may be a little faster than it says. */
const HINT_MARGIN_MS = 1000;
/** The same trouble with TLS is told so often. */
const REPEAT_MS = 60_000;

/**
 * Connections to one origin: kept when idle, the one that was used last is used first, so that those that a quiet time
 * does not need grow old and are closed. Requests wait for one in the order in which they came.
 */
export class TargetPool implements ConnectionOwner {
  readonly dialling: Dialling;
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

  private readonly now: () => number;
  private known: readonly LookupAddress[] = [];
  private told = { message: '', at: Number.NEGATIVE_INFINITY };

  constructor(
    private readonly rules: PoolRules,
    private readonly parts: PoolParts,
  ) {
    this.now = parts.now;
    this.dialling = diallingOf(rules, parts);
    const { origin } = this.dialling;
    this.lines = `host: ${origin.authority}\r\nconnection: keep-alive\r\n`;
    this.upgradeLines = `host: ${origin.authority}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n`;
  }

  get host(): string {
    return this.dialling.origin.host;
  }

  /** Connections that are there, tunnels not counted. */
  get size(): number {
    return this.connections.size;
  }

  onFault(error: unknown): void {
    this.parts.onFault(error);
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
    if (this.connecting.delete(connection)) {
      connection.deadline = this.now() + BOUNDS.upstreamIdleMs;
      connection.retired = leadsElsewhere(connection, this.parts.addresses.current(this.host));
    }
    const user = this.waiting.shift();
    if (user) this.hand(connection, user);
    else this.idle.push(connection);
  }

  keeps(connection: UpstreamConnection, seconds: number): boolean {
    const idleMs = seconds < 0 ? BOUNDS.upstreamIdleMs : seconds * 1000 - HINT_MARGIN_MS;
    connection.deadline = this.now() + idleMs;
    return idleMs > 0 && !connection.retired;
  }

  fail(connection: UpstreamConnection, failure: Error | null, timedOut: boolean): void {
    this.connecting.delete(connection);
    if (failure instanceof TlsFailure) this.tell(failure);
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
      if (connection.deadline < now)
        connection.close(new Error(`no connection in ${this.rules.connectTimeoutMs} ms`), true);
    this.retireOutdated();
    for (const connection of this.idle.filter(({ deadline, retired }) => deadline < now || retired))
      connection.close(null);
  }

  close(): void {
    this.closed = true;
    this.waiting.length = 0;
    for (const connection of [...this.connections, ...this.tunnels]) connection.close(null);
  }

  /** Connections to addresses that the name has not any more, or that show another certificate, end with their request. */
  private retireOutdated(): void {
    const { connections, connecting, dialling, known } = this;
    const all = dialling.tls?.outdated ?? false;
    const addresses = this.parts.addresses.current(this.host);
    if (!all && addresses === known) return;
    this.known = addresses;
    for (const connection of connections)
      if (!connecting.has(connection)) connection.retired ||= all || leadsElsewhere(connection, addresses);
    if (all) this.renewTls();
  }

  /** What is made from now on shows the new certificate. */
  private renewTls(): void {
    try {
      this.dialling.tls?.context();
    } catch (error) {
      this.tell(new TlsFailure(error as Error));
    }
  }

  private tell(failure: TlsFailure): void {
    const { message } = failure;
    const now = this.now();
    if (message === this.told.message && now - this.told.at < REPEAT_MS) return;
    this.told = { message, at: now };
    this.parts.log.error({ target: this.rules.origin, reason: message }, 'no TLS with an upstream; it is not asked');
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

/** Its address is none of those, where any are known. */
function leadsElsewhere({ address }: UpstreamConnection, known: readonly LookupAddress[]): boolean {
  return known.length > 0 && !known.some((other) => other.address === address);
}
