import type { Entry } from './entries.js';

/** Entries that are read before their markers were seen: for more of them a round trip is little. */
const MOST_MARKED = 200;

/** What the next round will most likely find marked. */
export class Guess {
  private marked: Entry[] = [];

  add(marked: readonly Entry[]): void {
    if (this.marked.length + marked.length <= MOST_MARKED) this.marked.push(...marked);
  }

  /** For the round that begins; it is expected no longer. */
  take(): readonly Entry[] {
    const { marked } = this;
    this.marked = [];
    return marked;
  }
}
