import type { CompiledTarget, CompiledUpstream } from '../decide/compile/compile-api.js';
import { BOUNDS } from '../engine/bounds.js';
import { TargetChoice } from './target-choice.js';
import { TargetPool } from './target-pool.js';

/** After a connection that could not be made. */
const AVOID_MS = 1000;

/** Connections to all upstreams of one worker. Origins are shared by APIs; connect timeouts are part of a pool. */
export class TargetPools {
  /** a bug was caught */
  onFault: (error: unknown) => void = () => undefined;
  private readonly pools = new Map<string, TargetPool>();
  private readonly found = new WeakMap<CompiledTarget, TargetPool>();
  private readonly choices = new WeakMap<CompiledUpstream, TargetChoice>();

  /** @param now monotonic milliseconds */
  constructor(private readonly now: () => number) {}

  /** The target for the next attempt; null when all were tried. */
  choose(upstream: CompiledUpstream, tried: ReadonlySet<CompiledTarget>): CompiledTarget | null {
    if (upstream.targets.length === 1) return tried.size === 0 ? (upstream.targets[0] ?? null) : null;
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
    let pool = this.found.get(target);
    if (!pool || pool.closed) this.found.set(target, (pool = this.poolOf(target, upstream)));
    pool.outstanding += 1;
    return pool;
  }

  release(pool: TargetPool, unreachable: boolean): void {
    pool.outstanding -= 1;
    pool.usedAt = this.now();
    pool.avoidUntil = unreachable ? pool.usedAt + AVOID_MS : 0;
  }

  /** Requests under way. */
  get outstanding(): number {
    let sum = 0;
    for (const { outstanding } of this.pools.values()) sum += outstanding;
    return sum;
  }

  /** Ends what took too long, and closes what nobody uses any more, such as targets of releases that were replaced. */
  sweep(): void {
    const now = this.now();
    for (const [name, pool] of this.pools) {
      pool.sweep(now);
      if (pool.outstanding > 0 || pool.usedAt > now - BOUNDS.poolIdleMs) continue;
      this.pools.delete(name);
      pool.close();
    }
  }

  close(): void {
    for (const pool of this.pools.values()) pool.close();
    this.pools.clear();
  }

  private poolOf(target: CompiledTarget, upstream: CompiledUpstream): TargetPool {
    const name = nameOf(target, upstream);
    let pool = this.pools.get(name);
    if (!pool) {
      pool = new TargetPool(target.origin, upstream.connectTimeoutMs, this.now, (error) => this.onFault(error));
      pool.usedAt = this.now();
      this.pools.set(name, pool);
    }
    return pool;
  }
}

function nameOf(target: CompiledTarget, upstream: CompiledUpstream): string {
  return `${target.origin} ${upstream.connectTimeoutMs}`;
}
