import type { Cluster, Redis } from 'ioredis';
import { type RedisAddress, RedisCounterStore, redisClient } from '#throttle';

/** After the library has given up. */
const AGAIN_MS = 500;

export interface LinkEvents {
  /** it can be asked, and may be another server than before */
  ready: () => void;
  /** @param why without anything secret */
  failed: (why: string) => void;
}

/** The connection to the region's Redis, which comes and goes by itself. */
export class SharedLink {
  private client: Redis | Cluster | null = null;
  private counters: RedisCounterStore | null = null;
  private closed = false;

  constructor(
    private readonly address: RedisAddress,
    private readonly scope: string,
    private readonly holders: () => number,
    private readonly events: LinkEvents,
  ) {}

  /** To be asked once `ready` was told. */
  get store(): RedisCounterStore {
    if (this.counters === null) throw new Error('Redis is asked before there is a connection');
    return this.counters;
  }

  get isReady(): boolean {
    return this.client?.status === 'ready';
  }

  async connect(): Promise<void> {
    // messages only: the errors carry the command that failed, and so, perhaps, a password
    const client = await redisClient(this.address, (error) => this.events.failed(error.message));
    this.client = client;
    this.counters = new RedisCounterStore(client, this.scope, this.holders);
    if (this.closed) return client.disconnect();
    client.on('ready', this.events.ready);
    client.on('close', () => this.events.failed('the connection is closed'));
    // It connects again by itself, but not where a sentinel tells of another master while it is asked for the master.
    client.on('end', () => {
      if (!this.closed) setTimeout(() => this.again(client), AGAIN_MS).unref();
    });
    if (this.isReady) this.events.ready();
  }

  private again(client: Redis | Cluster): void {
    if (!this.closed) client.connect().catch(() => undefined); // told by its events
  }

  close(): void {
    this.closed = true;
    this.client?.disconnect();
  }
}
