import type { Place, Refusal } from './place.js';

/**
 * Chooses among the targets of one upstream: the one with the fewest requests under way for its weight, and of equals by
 * smooth weighted round robin, so that quiet targets, too, get their shares by weight.
 *
 * Never one that its checks or its breaker rule out, or that is full; one that is merely suspected only when there are no
 * others.
 */
export class TargetChoice {
  private readonly turns: number[];

  constructor(private readonly places: readonly Place[]) {
    this.turns = places.map(() => 0);
  }

  /** @param tried those that had their chance; not chosen */
  next(tried: ReadonlySet<Place>, now: number): Place | null {
    const { places } = this;
    if (places.length === 1) {
      const only = places[0] as Place;
      return tried.size === 0 && only.takes(now) ? only : null;
    }
    return this.least(tried, now, false) ?? this.least(tried, now, true);
  }

  /** Why `next` finds none, of the target that may be the first to take one; null where all were tried. */
  refusal(tried: ReadonlySet<Place>, now: number): Refusal | null {
    let first: Refusal | null = null;
    for (const place of this.places) {
      if (tried.has(place)) continue;
      const refusal = place.refusal(now);
      if (first === null || refusal.retryMs < first.retryMs) first = refusal;
    }
    return first;
  }

  private least(tried: ReadonlySet<Place>, now: number, suspects: boolean): Place | null {
    const { places, turns } = this;
    let best = -1;
    let bestLoad = Number.POSITIVE_INFINITY;
    let weights = 0;
    for (let index = 0; index < places.length; index++) {
      const place = places[index] as Place;
      if (tried.has(place) || !place.takes(now) || (!suspects && place.health.avoided(now))) continue;
      const { weight } = place.target;
      weights += weight;
      const turn = (turns[index] ?? 0) + weight;
      turns[index] = turn;
      const load = place.pool.outstanding / weight;
      if (load > bestLoad || (load === bestLoad && turn <= (turns[best] ?? 0))) continue;
      best = index;
      bestLoad = load;
    }
    if (best < 0) return null;
    turns[best] = (turns[best] ?? 0) - weights;
    return places[best] ?? null;
  }
}
