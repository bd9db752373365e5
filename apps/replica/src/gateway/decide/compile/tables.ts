import { type ApiId, DEFAULT_REGION, type Definition, placementKey, splitPlacementKey, TABLE } from '#model';
import type { ChangedEntry, StateSnapshot } from '../../../state/state-snapshot.js';
import { ContextTree } from '../context-tree.js';
import { type CompiledApi, compileApi } from './compile-api.js';
import { type CompiledPlan, compilePlan } from './records.js';

/** The compiled part of one revision. Never changed once made: the next revision gets its own. */
export interface Tables {
  apis: ReadonlyMap<ApiId, CompiledApi>;
  plans: ReadonlyMap<string, CompiledPlan>;
  contexts: ContextTree<ApiId>;
  /** APIs whose context another one has, and why the others could not be compiled; by API, or `plan <id>` */
  disputed: ReadonlyMap<string, string>;
  failed: ReadonlyMap<string, string>;
}

/** Compiles everything. What cannot be compiled stays as it is in `before`. */
export function loadTables(before: Tables | null, snapshot: StateSnapshot, region: string): Tables {
  const work = new Work(before, snapshot, region);
  for (const { key } of snapshot.entries(TABLE.plan)) work.plan(key);
  for (const api of placedApis(snapshot, region)) work.api(api);
  return work.result();
}

/** Compiles what `changes` touch; the rest is taken over from `before`, which is all of it for most revisions. */
export function refreshTables(
  before: Tables,
  snapshot: StateSnapshot,
  changes: readonly ChangedEntry[],
  region: string,
): Tables {
  if (!changes.some(({ table }) => table === TABLE.plan || table === TABLE.placement)) return before;
  const work = new Work(before, snapshot, region, true);
  // A digest names one definition for ever, so that a release changes nothing by itself: placements do.
  for (const { table, key } of changes) {
    if (table === TABLE.plan) work.plan(key);
    const api = table === TABLE.placement ? apiPlacedBy(key, region) : null;
    if (api !== null) work.api(api);
  }
  return work.result();
}

function placedApis(snapshot: StateSnapshot, region: string): Set<ApiId> {
  const placed = new Set<ApiId>();
  for (const { key } of snapshot.entries(TABLE.placement)) {
    const api = apiPlacedBy(key, region);
    if (api !== null) placed.add(api);
  }
  return placed;
}

/** The API of a placement that means this region; null for one of another region. */
function apiPlacedBy(key: Buffer, region: string): ApiId | null {
  const name = splitPlacementKey(key);
  return name && (name.region === region || name.region === DEFAULT_REGION) ? (name.api as ApiId) : null;
}

class Work {
  private readonly apis: Map<ApiId, CompiledApi>;
  private readonly plans: Map<string, CompiledPlan>;
  private readonly failed: Map<string, string>;

  /** @param keep begin with all that `before` has; without, only with what is compiled again */
  constructor(
    private readonly before: Tables | null,
    private readonly snapshot: StateSnapshot,
    private readonly region: string,
    keep = false,
  ) {
    this.apis = new Map(keep ? before?.apis : undefined);
    this.plans = new Map(keep ? before?.plans : undefined);
    this.failed = new Map(keep ? before?.failed : undefined);
  }

  plan(key: Buffer): void {
    const id = key.toString('utf8');
    const value = this.snapshot.get(TABLE.plan, key);
    this.attempt(`plan ${id}`, this.plans, id, this.before?.plans.get(id), () => value && compilePlan(id, value));
  }

  api(id: ApiId): void {
    this.attempt(id, this.apis, id, this.before?.apis.get(id), () => this.compile(id));
  }

  result(): Tables {
    const { contexts, disputed } = this.contexts();
    return { apis: this.apis, plans: this.plans, contexts, disputed, failed: this.failed };
  }

  /** One item that fails neither stops the others nor takes away what served until now. */
  private attempt<K, V>(item: string, into: Map<K, V>, key: K, lastGood: V | undefined, make: () => V | null): void {
    this.failed.delete(item);
    try {
      const made = make();
      if (made === null) into.delete(key);
      else into.set(key, made);
    } catch (error) {
      this.failed.set(item, (error as Error).message);
      if (lastGood !== undefined) into.set(key, lastGood);
    }
  }

  private compile(id: ApiId): CompiledApi | null {
    const placement =
      this.snapshot.get(TABLE.placement, placementKey(id, this.region)) ??
      this.snapshot.get(TABLE.placement, placementKey(id, DEFAULT_REGION));
    if (placement === null) return null;
    const digest = placement.toString('hex');
    const known = this.before?.apis.get(id);
    if (known?.digest === digest) return known;
    const release = this.snapshot.get(TABLE.release, placement);
    if (release === null) throw new Error(`its release ${digest} is not in the state`);
    const compiled = compileApi(JSON.parse(release.toString('utf8')) as Definition, digest, this.region);
    if (compiled.id !== id) throw new Error(`its release ${digest} is one of ${compiled.id}`);
    return compiled;
  }

  /** The tree of contexts, taken over when no API came, went or moved. */
  private contexts(): Pick<Tables, 'contexts' | 'disputed'> {
    if (this.before && sameContexts(this.before.apis, this.apis)) return this.before;
    const contexts = new ContextTree<ApiId>();
    const disputed = new Map<string, string>();
    // in the order of ids, so that every replica gives a disputed context to the same API
    for (const id of [...this.apis.keys()].sort()) {
      const context = this.apis.get(id)?.context ?? '';
      const holder = contexts.add(context, id);
      if (holder !== null) disputed.set(id, `its context ${context} is taken by ${holder}`);
    }
    return { contexts, disputed };
  }
}

function sameContexts(a: ReadonlyMap<ApiId, CompiledApi>, b: ReadonlyMap<ApiId, CompiledApi>): boolean {
  if (a.size !== b.size) return false;
  for (const [id, api] of a) if (b.get(id)?.context !== api.context) return false;
  return true;
}
