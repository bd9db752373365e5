import { headName } from '#artifacts';
import type { DeltaContext } from './deltas.js';
import { HeadMoved } from './store-faults.js';
import { HEAD_READ_BYTES } from './store-head.js';

/** What a writer knows of the store's head. */
export interface KnownHead {
  /** as it was met or written last; null: there is none */
  etag: string | null;
  /** that it names; -1: none that counts */
  revision: number;
  /** what was written up to this epoch by another master does not count */
  discarded: number;
}

/**
 * Whether a revision that another master signed is no part of the chain in the store. The number of its term alone proves
 * nothing where that master has another database: the head is looked at again.
 *
 * @param term epoch of the term that asks
 * @throws HeadMoved when a newer head may name it
 */
export async function isOrphan(
  { store, environment, signal }: DeltaContext,
  term: number,
  known: KnownHead,
  { revision, epoch }: { revision: number; epoch: number },
): Promise<boolean> {
  const mayBeNamed = known.revision < 0 || revision <= known.revision;
  if (epoch >= term || (mayBeNamed && epoch > known.discarded)) return false;
  const object = await store.get(headName(environment), HEAD_READ_BYTES, signal);
  if ((object?.etag ?? null) !== known.etag) throw new HeadMoved('somebody else wrote head.json since it was read');
  return true;
}
