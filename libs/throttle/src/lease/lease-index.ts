import { type Bucket } from '../store/counter-store.js';
import { Lease } from './lease.js';
import { type Claim, type Limit, type Limits, limitsIn, type Scope } from './limits.js';

/** Who made no request for so long is forgotten, after twice that at the latest: the store knows what was counted. */
const FORGET_MS = 30_000;
/** Leases in memory at most: about 60 MB. */
const MAX_LEASES = 200_000;

/** What is known of one consumer. */
interface Holding {
  limits: Limits;
  /** without those of a route, in the order in which callers are told */
  leases: Lease[];
  /** by route, all that a request on it takes of; null: the plan has no limits of routes */
  routes: Map<string, Lease[]> | null;
  count: number;
}

/**
 * Which leases a request takes of. In two generations, so that nobody has to walk over a million of them to find those
 * that are not used any more: who is asked for moves to the young one, and what is left in the old one is dropped whole.
 */
export class LeaseIndex {
  private young = new Map<string, Holding>();
  private old = new Map<string, Holding>();
  private youngCount = 0;
  private oldCount = 0;
  private turnedAt: number;
  /** of APIs as a whole: as many as there are APIs and plans */
  private readonly apis = new Map<string, Lease>();

  constructor(now: number) {
    this.turnedAt = now;
  }

  /** Leases in memory. */
  get size(): number {
    return this.youngCount + this.oldCount + this.apis.size;
  }

  /** One of each limit of the plan. */
  find(limits: Limits, claim: Claim, now: number): readonly Lease[] {
    let holding = this.young.get(claim.consumer);
    holding ??= this.bringOver(claim.consumer) ?? this.add(limits, claim, now);
    if (holding.limits !== limits) this.follow(holding, limits, claim, now);
    if (holding.routes === null) return holding.leases;
    return holding.routes.get(claim.route) ?? this.addRoute(holding, claim, now);
  }

  /** To be called now and then. */
  sweep(now: number): void {
    if (now - this.turnedAt < FORGET_MS) return;
    this.turn(now);
    for (const [name, lease] of this.apis) if (now - lease.measuredAt >= 2 * FORGET_MS) this.apis.delete(name);
  }

  private turn(now: number): void {
    this.old = this.young;
    this.oldCount = this.youngCount;
    this.young = new Map();
    this.youngCount = 0;
    this.turnedAt = now;
  }

  private bringOver(consumer: string): Holding | undefined {
    const holding = this.old.get(consumer);
    if (!holding) return undefined;
    this.old.delete(consumer);
    this.oldCount -= holding.count;
    this.young.set(consumer, holding);
    this.youngCount += holding.count;
    return holding;
  }

  private add(limits: Limits, claim: Claim, now: number): Holding {
    if (this.youngCount >= MAX_LEASES / 2) this.turn(now);
    const holding: Holding = { limits, leases: [], routes: null, count: 0 };
    this.young.set(claim.consumer, holding);
    this.follow(holding, limits, claim, now);
    return holding;
  }

  /** Another plan, or the same with other limits. A lease of a limit that is there no longer is idle from now on, and goes back. */
  private follow(holding: Holding, limits: Limits, claim: Claim, now: number): void {
    holding.limits = limits;
    const own = scoped('consumer', claim.consumer, limitsIn(limits.consumer), holding.leases, now);
    const api = limitsIn(limits.api).map((limit) => this.apiLease(`a:${claim.api}:${limits.plan}`, limit, now));
    holding.leases = [...own, ...api];
    // made anew when they are asked for: a lease that is forgotten costs a question, and a route of before may never be asked for
    holding.routes = limits.route && new Map();
    this.youngCount += own.length - holding.count;
    holding.count = own.length;
  }

  private addRoute(holding: Holding, claim: Claim, now: number): Lease[] {
    const name = `${claim.consumer}:r:${claim.route}`;
    const own = scoped('route', name, limitsIn(holding.limits.route), [], now);
    const leases = [...holding.leases, ...own];
    holding.routes?.set(claim.route, leases);
    this.youngCount += own.length;
    holding.count += own.length;
    return leases;
  }

  private apiLease(name: string, limit: Limit, now: number): Lease {
    const key = `${name}:${limit.kind}`;
    const bucket: Bucket = { ...limit, name };
    const lease = this.apis.get(key);
    if (lease) {
      lease.follow(bucket);
      return lease;
    }
    const made = new Lease('api', bucket, now);
    this.apis.set(key, made);
    return made;
  }
}

function scoped(scope: Scope, name: string, limits: Limit[], before: readonly Lease[], now: number): Lease[] {
  return limits.map((limit) => {
    const bucket: Bucket = { ...limit, name };
    const lease = before.find((one) => one.scope === scope && one.bucket.kind === limit.kind);
    if (!lease) return new Lease(scope, bucket, now);
    lease.follow(bucket);
    return lease;
  });
}
