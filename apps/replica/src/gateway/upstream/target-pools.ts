import type { Logger } from '#platform';
import type { CompiledUpstream, PoolRules } from '../decide/compile/compile-upstream.js';
import { BOUNDS } from '../engine/bounds.js';
import { AddressBook, type Resolve } from './address-book.js';
import { ClientCertificates } from './client-certificates.js';
import { Place, type Refusal } from './place.js';
import { RetryBudget } from './retry-budget.js';
import { TargetChecks } from './target-checks.js';
import { TargetChoice } from './target-choice.js';
import { type AttemptEnd, TargetHealth } from './target-health.js';
import type { PoolParts } from './pool-parts.js';
import { TargetPool } from './target-pool.js';
import { reportFailure, reportSuspension, reportTargets, type TargetReport } from './target-report.js';

/** What a worker has of the upstream of one API. */
interface Use {
  upstream: CompiledUpstream;
  places: readonly Place[];
  choice: TargetChoice;
  budget: RetryBudget;
  usedAt: number;
}

export interface TargetPoolsOptions {
  /** monotonic milliseconds */
  now: () => number;
  /** milliseconds since 1970 */
  wallMs: () => number;
  log: Logger;
  /** directory of client certificates; null: there are none */
  certificates: string | null;
  resolve: Resolve;
  /** from 0 to 1 */
  random: () => number;
}

/** Connections to all upstreams of one worker. Those to one origin are shared by APIs with the same rules for them. */
export class TargetPools {
  /** a bug was caught */
  onFault: (error: unknown) => void = () => undefined;
  readonly checks: TargetChecks;
  private readonly pools = new Map<string, TargetPool>();
  private readonly parts: PoolParts;
  private readonly now: () => number;
  /** of the last sweep: exact enough for what is counted in minutes */
  private sweptAt: number;
  /** API -> */
  private readonly uses = new Map<string, Use>();

  constructor({ now, wallMs, log, certificates, resolve, random }: TargetPoolsOptions) {
    this.now = now;
    this.sweptAt = now();
    this.parts = {
      now,
      log,
      addresses: new AddressBook(resolve, now, log),
      certificates: new ClientCertificates(certificates, now, wallMs, log),
      onFault: (error) => this.onFault(error),
    };
    this.checks = new TargetChecks(this.parts, random);
  }

  /** The target for the next attempt; null when none is left that may be asked. */
  choose(upstream: CompiledUpstream, tried: ReadonlySet<Place>): Place | null {
    const use = this.useOf(upstream);
    const now = this.now();
    use.usedAt = now;
    if (tried.size === 0) use.budget.earn();
    return use.choice.next(tried, now);
  }

  /** Why `choose` found none; null where all were tried. */
  refusal(upstream: CompiledUpstream, tried: ReadonlySet<Place>): Refusal | null {
    return this.useOf(upstream).choice.refusal(tried, this.now());
  }

  /** Whether a request that was sent may be sent again. */
  mayRepeat(upstream: CompiledUpstream): boolean {
    return this.useOf(upstream).budget.spend();
  }

  /** Counts a request as under way, until `release`. @returns what `note` is told */
  acquire(place: Place): number {
    if (place.pool.closed) place.pool = this.poolOf(place.target.pool);
    place.pool.outstanding += 1;
    return place.health.start(this.now());
  }

  /** What an attempt told of a target. @param trials from `acquire` @param reason of a failure, for the log */
  note(place: Place, trials: number, end: AttemptEnd, reason: string | null): void {
    const { health } = place;
    const before = health.suspensions;
    health.finish(trials, end, this.now());
    const after = health.suspensions;
    if (before !== after) reportSuspension(this.parts.log, place, after > before ? reason : null);
    else if (reason !== null && health.isNews(this.now())) reportFailure(this.parts.log, place, reason);
  }

  release(pool: TargetPool): void {
    pool.outstanding -= 1;
    pool.usedAt = this.sweptAt;
  }

  /** Requests under way. */
  get outstanding(): number {
    let sum = 0;
    for (const { outstanding } of this.pools.values()) sum += outstanding;
    return sum;
  }

  /** What is known of targets that requests went to lately, or that are checked. */
  report(): TargetReport[] {
    for (const upstream of this.checks.upstreams) if (!this.uses.has(upstream.api)) this.renew(upstream, undefined);
    const all = [...this.uses].flatMap(([api, { places }]) => places.map((place) => [api, place] as const));
    return reportTargets(all, this.now());
  }

  /** Ends what took too long, and closes what nobody uses any more, such as targets of releases that were replaced. */
  sweep(): void {
    const now = this.now();
    this.sweptAt = now;
    this.checks.sweep(now);
    const { size } = this.pools;
    for (const [name, pool] of this.pools) {
      pool.sweep(now);
      if (pool.outstanding > 0 || pool.usedAt > now - BOUNDS.poolIdleMs) continue;
      this.pools.delete(name);
      pool.close();
    }
    if (this.pools.size < size)
      this.parts.addresses.forgetBut(new Set([...this.pools.values()].map(({ host }) => host)));
    for (const [api, { usedAt }] of this.uses) if (usedAt <= now - BOUNDS.poolIdleMs) this.uses.delete(api);
  }

  close(): void {
    this.checks.close();
    for (const pool of this.pools.values()) pool.close();
    this.pools.clear();
    this.uses.clear();
  }

  private useOf(upstream: CompiledUpstream): Use {
    const use = this.uses.get(upstream.api);
    return use?.upstream === upstream ? use : this.renew(upstream, use);
  }

  /** A release comes, or comes in the place of another: what is known of targets by the same rules stays known. */
  private renew(upstream: CompiledUpstream, before: Use | undefined): Use {
    const { passive, breaker } = upstream;
    const sameRules = (other: CompiledUpstream): boolean =>
      JSON.stringify([other.passive, other.breaker]) === JSON.stringify([passive, breaker]);
    const known = before && sameRules(before.upstream) ? before.places : [];
    const places = upstream.targets.map((target) => {
      const same = known.find(({ target: { origin, path } }) => origin === target.origin && path === target.path);
      const health = same?.health ?? new TargetHealth(passive, breaker);
      return new Place(target, health, this.poolOf(target.pool), this.checks, upstream);
    });
    const use = {
      upstream,
      places,
      choice: new TargetChoice(places),
      budget: before?.budget ?? new RetryBudget(),
      usedAt: this.now(),
    };
    this.uses.set(upstream.api, use);
    return use;
  }

  private poolOf(rules: PoolRules): TargetPool {
    let pool = this.pools.get(rules.name);
    if (!pool) {
      pool = new TargetPool(rules, this.parts);
      this.pools.set(rules.name, pool);
    }
    pool.usedAt = this.now();
    return pool;
  }
}
