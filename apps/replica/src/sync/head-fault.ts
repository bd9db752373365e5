import type { Head } from '#artifacts';
import type { KnownHead, StoredPosition } from '../state/state-layout.js';

/** What is known when a head comes in. */
export interface KnownHeads {
  position: Readonly<StoredPosition>;
  /** of all sources */
  newest: Readonly<KnownHead> | null;
  /** of the source that gave this one: another one may well be behind, but none goes back */
  own: Readonly<KnownHead> | null;
  /** hash of a revision that was applied, null when it is not kept any more */
  keptHash: (revision: number) => string | null;
}

export interface HeadFault {
  code: 'older_epoch' | 'head_replayed' | 'fork';
  detail: string;
}

/**
 * Why a head, whose signature is right, is not accepted all the same: it is of an epoch that is over, it goes back behind
 * what its source has said before, or it is of another history. Null when it is accepted.
 */
export function faultOfHead(head: Head, { keptHash, newest, own, position }: KnownHeads): HeadFault | null {
  const epoch = Math.max(position.epoch, newest?.epoch ?? 0);
  if (head.epoch < epoch)
    return { code: 'older_epoch', detail: `the head is of epoch ${head.epoch}; epoch ${epoch} was seen before` };
  if (own && head.revision < own.revision) {
    const detail = `the head names revision ${head.revision}; revision ${own.revision} was seen before`;
    return { code: 'head_replayed', detail };
  }
  const known =
    [position, newest].find((one) => one?.revision === head.revision)?.hash ??
    (head.revision < position.revision ? keptHash(head.revision) : null);
  if (known !== null && known !== head.hash) {
    return {
      code: 'fork',
      detail: `revision ${head.revision} of the head has the hash ${head.hash}; here it has ${known}: two masters made one each`,
    };
  }
  // Only of two heads that say the same: one that says more is newer, whatever its master's clock thinks.
  const again = own && head.epoch === own.epoch && head.revision === own.revision;
  if (again && head.issuedAt < own.issuedAt) {
    return {
      code: 'head_replayed',
      detail: `the head was issued ${own.issuedAt - head.issuedAt} ms before the newest one that was seen`,
    };
  }
  return null;
}
