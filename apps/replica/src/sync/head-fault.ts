import type { Head } from '#artifacts';
import type { KnownHead, StoredPosition } from '../state/state-layout.js';

/**
 * Why a head, whose signature is right, is not accepted all the same: it goes back behind what this replica has or
 * has heard of, or it is of another history. Null when it is accepted.
 */
export function faultOfHead(
  head: Head,
  position: Readonly<StoredPosition>,
  newest: Readonly<KnownHead> | null,
): { code: 'older_epoch' | 'head_replayed' | 'fork'; detail: string } | null {
  const epoch = Math.max(position.epoch, newest?.epoch ?? 0);
  if (head.epoch < epoch)
    return { code: 'older_epoch', detail: `the head is of epoch ${head.epoch}; epoch ${epoch} was seen before` };
  const revision = Math.max(position.revision, newest?.revision ?? 0);
  if (head.revision < revision) {
    return {
      code: 'head_replayed',
      detail: `the head names revision ${head.revision}; revision ${revision} was seen before`,
    };
  }
  const known = [position, newest].find((one) => one?.revision === head.revision);
  if (known && known.hash !== head.hash) {
    return {
      code: 'fork',
      detail: `revision ${head.revision} of the head has the hash ${head.hash}; here it has ${known.hash}: two masters made one each`,
    };
  }
  // Only of two heads that say the same: one that says more is newer, whatever its master's clock thinks.
  const again = newest && head.epoch === newest.epoch && head.revision === newest.revision;
  if (again && head.issuedAt < newest.issuedAt) {
    return {
      code: 'head_replayed',
      detail: `the head was issued ${newest.issuedAt - head.issuedAt} ms before the newest one that was seen`,
    };
  }
  return null;
}
