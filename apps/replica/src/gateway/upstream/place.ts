import type { CompiledTarget, CompiledUpstream } from '../decide/compile/compile-upstream.js';
import type { TargetChecks } from './target-checks.js';
import type { TargetHealth } from './target-health.js';
import type { TargetPool } from './target-pool.js';

/** Why a target takes no request. `retryMs`: until it may. */
export interface Refusal {
  reason: 'unhealthy' | 'open' | 'full';
  retryMs: number;
}

/** What is full may have room again at once; nobody should come back sooner than in a second. */
const FULL_MS = 1000;

/** A target of an API in this worker: what is known of it, and its connections, which other APIs may share. */
export class Place {
  constructor(
    readonly target: CompiledTarget,
    readonly health: TargetHealth,
    public pool: TargetPool,
    private readonly checks: TargetChecks,
    readonly upstream: CompiledUpstream,
  ) {}

  /** The API has no other target in this region. */
  get only(): boolean {
    return this.upstream.targets.length === 1;
  }

  /** Its checks failed. */
  get down(): boolean {
    const { check } = this.target;
    return check !== null && this.checks.isDown(check);
  }

  takes(now: number): boolean {
    return !this.health.barred(now) && !this.pool.full && !this.down;
  }

  refusal(now: number): Refusal {
    if (this.down) return { reason: 'unhealthy', retryMs: this.upstream.check?.intervalMs ?? 0 };
    if (this.health.barred(now)) return { reason: 'open', retryMs: this.health.barredMs(now) };
    return { reason: 'full', retryMs: FULL_MS };
  }
}
