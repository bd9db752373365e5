import { jittered, type Logger } from '#platform';
import type { StateStore } from '../state/state-store.js';
import type { RunState } from './run-state.js';

export interface ScrubTimes {
  /** milliseconds from the start to the first pass, and from the end of each pass to the next */
  firstMs: number;
  everyMs: number;
  /** between two parts of a pass */
  pauseMs: number;
}

/**
 * With a million entries a pass takes 20 s and four seconds of a core. Slower, the file would grow by more: the pages that
 * new revisions replace meanwhile are not used again before it is over.
 */
export const SCRUB: ScrubTimes = { firstMs: 10 * 60_000, everyMs: 6 * 3_600_000, pauseMs: 20 };

/** For so long a revision may have to wait for it. */
const PART_MS = 5;
const JITTER = 0.2;

/**
 * Compares what the disk holds with its sums now and then: an entry that nobody changes is not proven by any new revision.
 *
 * @param onDamage is told how many buckets do not agree
 */
export async function scrubNowAndThen(
  options: { state: StateStore; times: ScrubTimes; log: Logger; onDamage: (buckets: number) => void },
  running: RunState,
): Promise<void> {
  const { log, onDamage, state, times } = options;
  for (let ms = times.firstMs; !running.ended; ms = times.everyMs) {
    await running.pause(jittered(ms, JITTER, running.random));
    if (running.ended) return;
    const pause = async (): Promise<boolean> => {
      await running.pause(times.pauseMs);
      return !running.ended;
    };
    try {
      const damaged = await state.scrub(PART_MS, pause);
      if (damaged && damaged.length > 0) onDamage(damaged.length);
    } catch (error) {
      log.warn(
        { detail: (error as Error).message },
        'the state on the disk could not be looked through; it is tried again',
      );
    }
  }
}
