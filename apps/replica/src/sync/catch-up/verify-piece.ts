import {
  type ChainPosition,
  FormatError,
  type Head,
  type TrustedKeys,
  type VerifiedRevision,
  type VerifiedSegment,
  verifyRevision,
  verifySegment,
} from '#artifacts';
import { CatchUpError } from './catch-up-error.js';
import type { Piece } from './routes.js';

/**
 * The next piece of a way.
 *
 * @param position where the way has come to
 * @throws FormatError; CatchUpError `fork` when it is the end of the way, and not the one that the head names
 */
export function verifyPiece(
  { index, level }: Piece,
  bytes: Buffer,
  position: ChainPosition,
  head: Head,
  trusted: TrustedKeys,
): VerifiedRevision | VerifiedSegment {
  if (level === 0) {
    const revision = verifyRevision(bytes, position, trusted);
    requireHead(head, revision.header.revision, revision.hash);
    return revision;
  }
  const segment = verifySegment(bytes, head.environment, trusted);
  const { header } = segment;
  if (header.level !== level || header.index !== index)
    throw new FormatError('wrong_revision', `it is segment ${header.index} of level ${header.level}`);
  if (header.epoch < position.epoch)
    throw new FormatError('older_epoch', `its epoch ${header.epoch} is older than ${position.epoch}`);
  requireHead(head, header.last, header.hash);
  return segment;
}

function requireHead(head: Head, revision: number, hash: Buffer): void {
  if (revision !== head.revision || hash.toString('hex') === head.hash) return;
  throw new CatchUpError(
    `revision ${revision}`,
    'fork',
    `it does not have the hash ${head.hash} by which the head names it`,
  );
}
