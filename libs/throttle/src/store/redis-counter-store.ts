import type { Cluster, Redis, Result } from 'ioredis';
import { burstOf, TICK_MICROS } from '../algorithm/rate.js';
import type { Bucket, Grant, Wish } from './counter-store.js';
import { MEET, TAKE_QUOTA, TAKE_RATE } from './counter-function.js';

/** What the caller knows of a bucket beside what the server does. */
export interface Memory {
  /** the state as it was last told; '': not yet */
  seen: string;
  /** whether it counts although the server has the same bucket: that may be an old copy */
  force: boolean;
  /** tokens that were admitted without the server, and are owed to it; a quota's may be below 0: to come back */
  spent: number;
  /** the first millisecond of the quota window in which they were */
  spentIn: number;
}

export interface SharedGrant extends Grant {
  /** of the bucket, to be remembered */
  seen: string;
  /** microseconds of the server's clock */
  at: number;
}

export const NOTHING_KNOWN: Readonly<Memory> = { seen: '', force: false, spent: 0, spentIn: 0 };
const NO_WISH: Wish = { need: 0, ahead: 0, held: 0, lease: 0 };

type Reply = [number, number, number, number, number, number, number, string];

declare module 'ioredis' {
  interface RedisCommander<Context> {
    helioTakeRate(key: string, ...args: (string | number)[]): Result<Reply, Context>;
    helioTakeQuota(key: string, ...args: (string | number)[]): Result<Reply, Context>;
    helioMeet(key: string, ...args: (string | number)[]): Result<string[], Context>;
  }
}

/**
 * The counters of a region in its Redis: each call is one function on one key. Rejects when the server does not do it, by
 * whatever error the client has; how long that takes is the client's affair.
 */
export class RedisCounterStore {
  private corked = false;

  /**
   * @param scope of the keys: two regions may share a server
   * @param holders how many share what is lent
   */
  constructor(
    private readonly client: Redis | Cluster,
    private readonly scope: string,
    private readonly holders: () => number,
  ) {
    client.defineCommand('helioTakeRate', { numberOfKeys: 1, lua: TAKE_RATE });
    client.defineCommand('helioTakeQuota', { numberOfKeys: 1, lua: TAKE_QUOTA });
    client.defineCommand('helioMeet', { numberOfKeys: 1, lua: MEET });
  }

  async take(bucket: Bucket, wish: Wish, memory: Readonly<Memory> = NOTHING_KNOWN): Promise<SharedGrant> {
    this.cork();
    const { need, ahead, held, lease } = wish;
    const { spent, spentIn, seen } = memory;
    const force = memory.force ? 1 : 0;
    const key = this.keyOf(bucket);
    const wished = [need, ahead, held, lease, this.holders(), spent];
    const { limit } = bucket.limit;
    const [granted, lent, remaining, resetMs, retryMs, name, at, state] =
      bucket.kind === 'rate'
        ? await this.client.helioTakeRate(
            key,
            limit,
            TICK_MICROS[bucket.limit.per],
            burstOf(bucket.limit),
            ...wished,
            force,
            seen,
          )
        : await this.client.helioTakeQuota(
            key,
            limit,
            bucket.limit.per === 'day' ? 1 : 2,
            ...wished,
            spentIn,
            force,
            seen,
          );
    return { granted, lent, remaining, resetMs, retryMs, lease: name, at, seen: state };
  }

  /** Ends a lease: it is a question for nothing. */
  give(bucket: Bucket, unused: number, lease: number, memory: Readonly<Memory> = NOTHING_KNOWN): Promise<SharedGrant> {
    return this.take(bucket, { ...NO_WISH, held: unused, lease }, memory);
  }

  /**
   * Says who is there, and finds out who else is.
   *
   * @param ttlMs after which it is forgotten; 0: at once
   * @returns workers by node
   */
  async meet(node: string, workers: number, ttlMs: number): Promise<Map<string, number>> {
    const list = await this.client.helioMeet(`helio:{${this.scope}:nodes}`, node, workers, ttlMs);
    const nodes = new Map<string, number>();
    for (let i = 0; i + 1 < list.length; i += 2) nodes.set(list[i] as string, Number(list[i + 1]));
    return nodes;
  }

  /** The braces hold what decides about a cluster's slot. */
  private keyOf({ kind, name }: Bucket): string {
    return `helio:{${this.scope}:${name}}:${kind === 'rate' ? 'r' : 'q'}`;
  }

  /** All calls of one turn leave in one write: each would else be a system call of its own. */
  private cork(): void {
    const { client } = this;
    if (this.corked || client.isCluster || client.status !== 'ready') return;
    this.corked = true;
    const { stream } = client as Redis;
    stream.cork();
    process.nextTick(() => {
      this.corked = false;
      stream.uncork();
    });
  }
}
