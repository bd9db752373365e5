// Not from the package's index: that loads fetch, WebSocket and caches too, half of what a worker had to load to start.
import Pool from 'undici/lib/dispatcher/pool.js';
import type { CompiledTarget, CompiledUpstream } from '../decide/compile/compile-api.js';
import { BOUNDS } from '../engine/bounds.js';
import { TargetChoice } from './target-choice.js';

/** Connections to one origin. */
export interface TargetPool {
  readonly pool: Pool;
  outstanding: number;
  /** monotonic milliseconds: since when it is idle, and until when others are preferred */
  usedAt: number;
  avoidUntil: number;
}

/** After a connection that could not be made. */
const AVOID_MS = 1000;

/** Connections to all upstreams of one worker. Origins are shared by APIs; connect timeouts are part of a pool. */
export class TargetPools {
  private readonly pools = new Map<string, TargetPool>();
  private readonly choices = new WeakMap<CompiledUpstream, TargetChoice>();

  /** @param now monotonic milliseconds */
  constructor(private readonly now: () => number) {}

  /** The target for the next attempt; null when all were tried. */
  choose(upstream: CompiledUpstream, tried: ReadonlySet<CompiledTarget>): CompiledTarget | null {
    let choice = this.choices.get(upstream);
    if (!choice) this.choices.set(upstream, (choice = new TargetChoice(upstream.targets)));
    const find = (target: CompiledTarget): TargetPool | undefined => this.pools.get(nameOf(target, upstream));
    const now = this.now();
    return choice.next(tried, {
      outstanding: (target) => find(target)?.outstanding ?? 0,
      avoided: (target) => (find(target)?.avoidUntil ?? 0) > now,
    });
  }

  /** Counts a request as under way, until `release`. */
  acquire(target: CompiledTarget, upstream: CompiledUpstream): TargetPool {
    const name = nameOf(target, upstream);
    let entry = this.pools.get(name);
    if (!entry) {
      entry = { pool: newPool(target.origin, upstream.connectTimeoutMs), outstanding: 0, usedAt: 0, avoidUntil: 0 };
      this.pools.set(name, entry);
    }
    entry.outstanding += 1;
    entry.usedAt = this.now();
    return entry;
  }

  release(entry: TargetPool, unreachable: boolean): void {
    entry.outstanding -= 1;
    entry.usedAt = this.now();
    entry.avoidUntil = unreachable ? entry.usedAt + AVOID_MS : 0;
  }

  /** Requests under way. */
  get outstanding(): number {
    let sum = 0;
    for (const entry of this.pools.values()) sum += entry.outstanding;
    return sum;
  }

  /** Closes what nobody uses any more, such as targets of releases that were replaced. */
  sweep(): void {
    const limit = this.now() - BOUNDS.upstreamIdleMs;
    for (const [name, entry] of this.pools) {
      if (entry.outstanding > 0 || entry.usedAt > limit) continue;
      this.pools.delete(name);
      void entry.pool.destroy();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.pools.values()].map(({ pool }) => pool.destroy()));
    this.pools.clear();
  }
}

function nameOf(target: CompiledTarget, upstream: CompiledUpstream): string {
  return `${target.origin} ${upstream.connectTimeoutMs}`;
}

function newPool(origin: string, connectTimeoutMs: number): Pool {
  return new Pool(origin, {
    connections: BOUNDS.upstreamConnections,
    pipelining: 1,
    connect: { timeout: connectTimeoutMs },
    // the time to the head is measured by the attempt, from before it waits for a connection
    headersTimeout: 0,
    bodyTimeout: BOUNDS.upstreamStallMs,
    maxHeaderSize: BOUNDS.headBytes,
  });
}
