import { decodeHeader, deltaName, FormatError, type TrustedKeys, verifyRevision } from '#artifacts';
import type { StateStore } from '../../state/state-store.js';
import { CatchUpError } from './catch-up-error.js';
import type { ObjectFetcher } from './object-fetcher.js';

/** A revision of more bytes is not worth being fetched again. */
const OWN_REVISION_BYTES = 256 * 1024;

/**
 * A jump does not look at what lies between: that the revision which is here is one of the source's chain has to be seen
 * before, as long as the source has it.
 *
 * @throws CatchUpError `fork`; StoreError
 */
export async function requireSameChain(
  fetcher: ObjectFetcher,
  state: StateStore,
  trusted: TrustedKeys,
  signal: AbortSignal,
): Promise<void> {
  const { environment, hash, revision } = state.position;
  if (revision === 0) return;
  const name = deltaName(environment, revision);
  let found: string;
  try {
    const bytes = await fetcher.one(name, OWN_REVISION_BYTES, signal);
    if (bytes === null) return;
    const { previous } = decodeHeader(bytes).header;
    const place = { environment, epoch: 0, revision: revision - 1, hash: previous };
    found = verifyRevision(bytes, place, trusted).hash.toString('hex');
  } catch (error) {
    // what nobody signed says nothing, and what is too large is not worth it
    if (error instanceof FormatError || error instanceof CatchUpError) return;
    throw error;
  }
  if (found === hash) return;
  throw new CatchUpError(name, 'fork', `it has the hash ${found}; here it has ${hash}: two masters made one each`);
}
