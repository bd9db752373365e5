import { LIMITS, MAX_HEADER_BYTES } from '#artifacts';
import type { RevisionAnswer, RevisionSource } from './revision-source.js';

/** Fetched ahead at a time, and the largest that is: together what may lie in memory. Larger ones are fetched alone. */
const AHEAD = 16;
const AHEAD_BYTES = 4 * 1024 * 1024;
const LARGEST = LIMITS.bodyBytes + MAX_HEADER_BYTES;

type Outcome = { answer: RevisionAnswer } | { error: unknown };

/** Hands out revisions in order, and fetches the next ones meanwhile. */
export class RevisionFetcher {
  readonly #ahead = new Map<number, Promise<Outcome>>();

  constructor(private readonly source: RevisionSource) {}

  /**
   * @param until the last one that will be asked for
   * @returns null when the source does not have it; rejects when it cannot be reached
   */
  async take(revision: number, until: number, signal: AbortSignal): Promise<Buffer | null> {
    for (let next = revision; next <= until && next < revision + AHEAD; next++) {
      if (!this.#ahead.has(next)) this.#ahead.set(next, settled(this.source.revision(next, AHEAD_BYTES, signal)));
    }
    const outcome = await this.#ahead.get(revision);
    this.#ahead.delete(revision);
    if (outcome && 'error' in outcome) {
      this.forget();
      throw outcome.error;
    }
    const answer =
      outcome?.answer.kind === 'too-large' ? await this.source.revision(revision, LARGEST, signal) : outcome?.answer;
    if (answer?.kind === 'revision') return answer.bytes;
    this.forget();
    if (answer?.kind === 'too-large')
      throw new RangeError(`revision ${revision} has more than the ${LARGEST} bytes that one can have`);
    return null;
  }

  /** What was fetched ahead is fetched again: it may have been repaired. */
  forget(): void {
    this.#ahead.clear();
  }
}

/** So that a failure waits for its turn, instead of being reported as nobody's. */
function settled(work: Promise<RevisionAnswer>): Promise<Outcome> {
  return work.then(
    (answer) => ({ answer }),
    (error: unknown) => ({ error }),
  );
}
