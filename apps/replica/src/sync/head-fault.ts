import type { Head } from '#artifacts';
import type { KnownHead, StoredPosition } from '../state/state-layout.js';

/** What is known when a head comes in. */
export interface KnownHeads {
  position: Readonly<StoredPosition>;
  /** of all sources */
  newest: Readonly<KnownHead> | null;
  /** of the source that gave this one: another one may well be behind, but none goes back */
  own: Readonly<KnownHead> | null;
  /** whether that source is one place, which has one newest head; no: several may answer behind its address */
  isOnePlace: boolean;
  /** when the newest term was first heard of, in milliseconds since 1970 by its master's clock */
  termBegan: number;
  /** hash of a revision that was applied, null when it is not kept any more */
  keptHash: (revision: number) => string | null;
}

export interface HeadFault {
  code: 'older_epoch' | 'head_outdated' | 'head_replayed' | 'fork';
  detail: string;
}

/**
 * Whether a head says less than one that was seen before. Of two that say the same, the one that was issued first; one that says
 * more is newer, whatever its master's clock thinks.
 */
export function goesBack(head: Head, own: Readonly<KnownHead>): boolean {
  if (head.revision !== own.revision) return head.revision < own.revision;
  return head.epoch === own.epoch && head.issuedAt < own.issuedAt;
}

/**
 * Masters behind one address sign heads of their own and keep each for a while, so one that asks them in turn is given older ones
 * now and then. A head that had not expired yet when the newest was issued is such a one, and says nothing new; who serves it for
 * ever is found out when it has expired.
 */
function isAnothers(head: Head, own: Readonly<KnownHead>): boolean {
  return head.epoch === own.epoch && head.expiresAt >= own.issuedAt;
}

/**
 * Why a head, whose signature is right, is not accepted all the same: it is of an epoch that is over, it goes back behind
 * what its source has said before, or it is of another history. Null when it is accepted; that may be one that goes back, too,
 * where several answer behind one address.
 */
export function faultOfHead(head: Head, known: KnownHeads): HeadFault | null {
  const { isOnePlace, newest, own, position } = known;
  const epoch = Math.max(position.epoch, newest?.epoch ?? 0);
  const there = knownHash(head.revision, known);
  if (head.epoch < epoch) return faultOfOlder(head, epoch, known, there);
  // before all else: that two masters have signed one revision each is told by no other head
  if (there !== null && there !== head.hash) {
    return {
      code: 'fork',
      detail: `revision ${head.revision} of the head has the hash ${head.hash}; here it has ${there}: two masters made one each`,
    };
  }
  const isReplayed = own && goesBack(head, own) && (isOnePlace || !isAnothers(head, own));
  return isReplayed ? { code: 'head_replayed', detail: detailOf(head, own) } : null;
}

function knownHash(revision: number, { keptHash, newest, position }: KnownHeads): string | null {
  const named = [position, newest].find((one) => one?.revision === revision);
  return named?.hash ?? (revision < position.revision ? keptHash(revision) : null);
}

/**
 * Who takes a term tells replicas at once, and writes the store when that answers: until then the head of the term before lies
 * there, and nobody is wrong. A master that was replaced and does not know it signs another one, or that one grows old. And
 * one place that has shown the newer term itself does not show the one before again, unless somebody has put it there.
 */
function faultOfOlder(head: Head, epoch: number, known: KnownHeads, there: string | null): HeadFault {
  const { isOnePlace, newest, own, termBegan } = known;
  const seen = `the head is of epoch ${head.epoch}; epoch ${epoch} was seen before`;
  if (head.issuedAt >= termBegan || there !== head.hash) return { code: 'older_epoch', detail: seen };
  if (isOnePlace && own && own.epoch > head.epoch)
    return { code: 'head_replayed', detail: `${seen}, and one of epoch ${own.epoch} was given here` };
  if (head.expiresAt < (newest?.issuedAt ?? 0)) return { code: 'older_epoch', detail: seen };
  return { code: 'head_outdated', detail: `${seen}, and nobody has signed a head here since` };
}

function detailOf(head: Head, own: Readonly<KnownHead>): string {
  if (head.revision < own.revision)
    return `the head names revision ${head.revision}; revision ${own.revision} was seen before`;
  return `the head was issued ${own.issuedAt - head.issuedAt} ms before the newest one that was seen`;
}
