import { FormatError, type Head, type VerifiedRevision } from '#artifacts';
import type { HeadBook } from './head-book.js';

/** Two masters have made one revision each. */
export class ForkError extends Error {
  readonly code = 'fork';

  /** @param decided whether a newer term has chosen one of the two since: what leads to its head as a whole can be taken */
  constructor(
    message: string,
    readonly decided = false,
  ) {
    super(message);
  }
}

/**
 * What is right by itself may still be of a term that is over, or of one that two masters have held.
 *
 * @throws FormatError `older_epoch`; ForkError
 */
export function requireOwnHistory({ hash, header }: VerifiedRevision, { forkedEpoch, newest }: HeadBook): void {
  if (newest && header.revision > newest.revision && header.epoch < newest.epoch) {
    const detail = `its epoch ${header.epoch} is older than ${newest.epoch}, of which a head was seen`;
    throw new FormatError('older_epoch', detail);
  }
  if (newest?.revision === header.revision && newest.hash !== hash.toString('hex'))
    throw new ForkError(`it does not have the hash ${newest.hash} by which the head names it`);
  if (header.epoch <= forkedEpoch) {
    // By itself it may be of either: only the way to a newer head, whose end is proven by that head's hash, leads past it.
    const decided = newest !== null && newest.epoch > forkedEpoch && newest.revision > header.revision;
    const detail = `two masters have made revisions of epoch ${header.epoch}; neither is followed any further`;
    throw new ForkError(detail, decided);
  }
}

/**
 * Of a head that was accepted a while ago: another one may have shown since that it leads nowhere.
 *
 * @throws FormatError `older_epoch`; ForkError
 */
export function requireStanding({ epoch }: Head, { forkedEpoch, newest }: HeadBook): void {
  if (newest && epoch < newest.epoch) {
    const detail = `the head is of epoch ${epoch}; epoch ${newest.epoch} was seen before`;
    throw new FormatError('older_epoch', detail);
  }
  if (epoch <= forkedEpoch)
    throw new ForkError(`two masters have made revisions of epoch ${epoch}; neither is followed any further`);
}
