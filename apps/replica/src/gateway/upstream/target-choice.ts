import type { CompiledTarget } from '../decide/compile/compile-api.js';

/** How busy a target is, and whether it is one to avoid. */
export interface TargetView {
  outstanding(target: CompiledTarget): number;
  avoided(target: CompiledTarget): boolean;
}

/**
 * Chooses among the targets of one upstream: the one with the fewest requests under way for its weight, and of equals by
 * smooth weighted round robin, so that quiet targets, too, get their shares by weight.
 */
export class TargetChoice {
  private readonly turns: number[];

  constructor(private readonly targets: readonly CompiledTarget[]) {
    this.turns = targets.map(() => 0);
  }

  /** @returns one that was not tried, if it can be one that is not to be avoided; null when all were tried */
  next(tried: ReadonlySet<CompiledTarget>, view: TargetView): CompiledTarget | null {
    if (this.targets.length === 1 && tried.size === 0) return this.targets[0] ?? null;
    const left = this.targets.filter((target) => !tried.has(target));
    const good = left.length > 1 ? left.filter((target) => !view.avoided(target)) : left;
    const candidates = good.length > 0 ? good : left;
    if (candidates.length < 2) return candidates[0] ?? null;

    let best: CompiledTarget | null = null;
    let bestLoad = Number.POSITIVE_INFINITY;
    let bestIndex = -1;
    let weights = 0;
    for (const [index, target] of this.targets.entries()) {
      if (!candidates.includes(target)) continue;
      weights += target.weight;
      const turn = (this.turns[index] ?? 0) + target.weight;
      this.turns[index] = turn;
      const load = view.outstanding(target) / target.weight;
      if (load > bestLoad || (load === bestLoad && turn <= (this.turns[bestIndex] ?? 0))) continue;
      best = target;
      bestLoad = load;
      bestIndex = index;
    }
    this.turns[bestIndex] = (this.turns[bestIndex] ?? 0) - weights;
    return best;
  }
}
