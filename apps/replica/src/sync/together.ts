import { type ChainPosition, positionAfter, type TrustedKeys, type VerifiedRevision, verifyRevision } from '#artifacts';
import type { HeadBook } from './head-book.js';
import { requireOwnHistory } from './own-history.js';

/**
 * Revisions that have come by the time are applied together, so many and of so many bytes in all: gateway workers, which
 * load the last of them, then stand still for no longer than they would for one. None waits for another one to come.
 */
export const TOGETHER = { revisions: 32, bytes: 128 * 1024 } as const;

/** How many of these, in order, are applied together: the first one whatever its size. */
export function countTogether(all: readonly Buffer[]): number {
  let bytes = 0;
  const end = all.findIndex((one, at) => (bytes += one.length) > TOGETHER.bytes && at > 0);
  return Math.min(end < 0 ? all.length : end, TOGETHER.revisions);
}

/**
 * As many as are right, each by itself and on the one before it. What is wrong with the one after these is told when it
 * is the next.
 *
 * @throws FormatError, ForkError of the first
 */
export function verifyTogether(
  revisions: readonly Buffer[],
  from: ChainPosition,
  trusted: TrustedKeys,
  heads: HeadBook,
): VerifiedRevision[] {
  const verified: VerifiedRevision[] = [];
  let position = from;
  for (const bytes of revisions) {
    try {
      const revision = verifyRevision(bytes, position, trusted);
      requireOwnHistory(revision, heads);
      verified.push(revision);
      position = positionAfter(revision);
    } catch (error) {
      if (verified.length === 0) throw error;
      break;
    }
  }
  return verified;
}
