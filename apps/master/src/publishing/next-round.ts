import { sleep } from '#platform';
import type { Entry } from './entries.js';

/** Entries that are read before their markers were seen: for more of them a round trip is little. */
const MOST_MARKED = 200;
/**
 * After a revision the publisher rests for as long as that one took, and no longer than this: what is written meanwhile goes
 * together. A revision costs about the same for one write as for a hundred, here and in the store, and at each replica more than
 * here. Whoever writes alone waits for nothing.
 */
const REST_MS = 10;

/** When the next round may begin, and what it will most likely find marked. */
export class NextRound {
  private marked: Entry[] = [];
  /** on the monotonic clock */
  private restsUntil = 0;

  expect(marked: readonly Entry[]): void {
    if (this.marked.length + marked.length <= MOST_MARKED) this.marked.push(...marked);
  }

  /** Waits until it may begin. @returns what was expected by then; it is expected no longer */
  async begin(signal: AbortSignal): Promise<readonly Entry[]> {
    const rest = this.restsUntil - performance.now();
    if (rest > 0) await sleep(rest, signal);
    const { marked } = this;
    this.marked = [];
    return marked;
  }

  /** The last round ends now. @param began on the monotonic clock */
  ended(began: number): void {
    const now = performance.now();
    this.restsUntil = now + Math.min(now - began, REST_MS);
  }
}
