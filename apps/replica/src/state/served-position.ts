import type { StoredPosition } from './state-layout.js';

/** Positions that are remembered while a worker lags; of more the oldest and every second one are, so that none is too slow to be acknowledged. */
const MOST = 64;

/**
 * Where this replica stands in what it answers: the newest position that every gateway worker has reached. The state on the
 * disk is ahead of it for as long as they take. It never goes back: a worker that starts loads the newest state before it
 * listens.
 */
export class ServedPosition {
  #position: Readonly<StoredPosition>;
  #applied: Readonly<StoredPosition>[] = [];

  /** @param position of the state when nobody serves yet */
  constructor(position: Readonly<StoredPosition>) {
    this.#position = position;
  }

  get position(): Readonly<StoredPosition> {
    return this.#position;
  }

  /** The state has come to a newer position, or was mended. */
  applied(position: Readonly<StoredPosition>): void {
    this.#applied.push(position);
    if (this.#applied.length > MOST) this.#applied = this.#applied.filter((_, index) => index % 2 === 0);
  }

  /**
   * @param revision that every worker has loaded; infinity when there is none
   * @returns whether that is news
   */
  loaded(revision: number): boolean {
    const count = this.#applied.findLastIndex((position) => position.revision <= revision) + 1;
    const newest = this.#applied.splice(0, count).at(-1);
    if (newest) this.#position = newest;
    return newest !== undefined;
  }
}
