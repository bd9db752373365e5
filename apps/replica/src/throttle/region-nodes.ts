import { randomBytes } from 'node:crypto';
import type { RedisCounterStore } from '#throttle';
import { type Share, shareOf } from './fair-share.js';
import { inTime } from './in-time.js';
import type { KnownBuckets } from './known-buckets.js';

/** How long a node is believed to be there after it said so. */
const BELIEVED_MS = 5000;

/** Who is in the region, as Redis told it last, here or before a restart. */
export class RegionNodes {
  /** the same for as long as this node's disk is */
  private node = randomBytes(9).toString('base64url');
  private nodes: ReadonlyMap<string, number> = new Map();
  /** monotonic milliseconds: when Redis told of it last */
  private heard: ReadonlyMap<string, number> = new Map();

  constructor(
    private readonly known: KnownBuckets,
    private readonly workers: () => number,
  ) {}

  load(): void {
    const met = this.known.membership;
    if (met) {
      this.node = met.node;
      this.nodes = new Map(Object.entries(met.nodes));
    }
    this.keep();
  }

  share(): Share {
    return shareOf(this.nodes, this.node, this.workers());
  }

  /** Says that this node is there, and learns who else is. @throws (rejects) as Redis does */
  async meet(store: RedisCounterStore): Promise<true> {
    this.hear(await store.meet(this.node, this.workers(), BELIEVED_MS));
    this.keep();
    return true;
  }

  /** A Redis that was emptied knows nobody at first: who was there is believed to be, as long as Redis would have believed it. */
  private hear(told: ReadonlyMap<string, number>): void {
    const now = performance.now();
    const nodes = new Map(told);
    const heard = new Map([...told.keys()].map((name) => [name, now]));
    for (const [name, workers] of this.nodes) {
      const at = this.heard.get(name) ?? now;
      if (nodes.has(name) || now - at >= BELIEVED_MS) continue;
      nodes.set(name, workers);
      heard.set(name, at);
    }
    this.nodes = nodes;
    this.heard = heard;
  }

  /** Says that it is gone; who cannot be told finds out by itself. */
  async leave(store: RedisCounterStore, ms: number): Promise<void> {
    await inTime(store.meet(this.node, 0, 0), ms).catch(() => null);
  }

  private keep(): void {
    this.known.meet({ node: this.node, nodes: Object.fromEntries(this.nodes) });
  }
}
