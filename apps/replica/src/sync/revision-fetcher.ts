import { LIMITS, MAX_HEADER_BYTES } from '#artifacts';
import type { RevisionAnswer, RevisionSource } from './revision-source.js';
import { countTogether } from './together.js';

/** Fetched ahead at a time, and the largest that is: together what may lie in memory. Larger ones are fetched alone. */
const AHEAD = 16;
const AHEAD_BYTES = 4 * 1024 * 1024;
const LARGEST = LIMITS.bodyBytes + MAX_HEADER_BYTES;

type Outcome = { answer: RevisionAnswer } | { error: unknown };

interface Asked {
  outcome: Promise<Outcome>;
  /** once it has come, and is a revision */
  bytes: Buffer | null;
}

/** Hands out revisions in order, and fetches the next ones meanwhile. */
export class RevisionFetcher {
  readonly #ahead = new Map<number, Asked>();

  constructor(private readonly source: RevisionSource) {}

  /**
   * @param until the last one that will be asked for
   * @returns a revision, and those after it that have come by then, as far as they are applied together; none when the
   * source does not have it; rejects when it cannot be reached
   */
  async take(revision: number, until: number, signal: AbortSignal): Promise<Buffer[]> {
    for (let next = revision; next <= until && next < revision + AHEAD; next++) {
      if (!this.#ahead.has(next)) this.#ahead.set(next, asked(this.source.revision(next, AHEAD_BYTES, signal)));
    }
    const outcome = await this.#ahead.get(revision)?.outcome;
    this.#ahead.delete(revision);
    if (outcome && 'error' in outcome) {
      this.forget();
      throw outcome.error;
    }
    const answer =
      outcome?.answer.kind === 'too-large' ? await this.source.revision(revision, LARGEST, signal) : outcome?.answer;
    if (answer?.kind === 'revision') return this.#withNext(revision, answer.bytes);
    this.forget();
    if (answer?.kind === 'too-large')
      throw new RangeError(`revision ${revision} has more than the ${LARGEST} bytes that one can have`);
    return [];
  }

  #withNext(revision: number, bytes: Buffer): Buffer[] {
    const all = [bytes];
    for (let next = this.#ahead.get(revision + 1)?.bytes; next; next = this.#ahead.get(revision + all.length)?.bytes)
      all.push(next);
    const together = all.slice(0, countTogether(all));
    for (let taken = 1; taken < together.length; taken++) this.#ahead.delete(revision + taken);
    return together;
  }

  /** What was fetched ahead is fetched again: it may have been repaired. */
  forget(): void {
    this.#ahead.clear();
  }
}

/** A failure waits for its turn, instead of being reported as nobody's. */
function asked(work: Promise<RevisionAnswer>): Asked {
  const one: Asked = {
    bytes: null,
    outcome: work.then(
      (answer) => {
        if (answer.kind === 'revision') one.bytes = answer.bytes;
        return { answer };
      },
      (error: unknown) => ({ error }),
    ),
  };
  return one;
}
