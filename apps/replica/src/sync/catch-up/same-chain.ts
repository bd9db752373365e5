import { deltaName, FormatError, type TrustedKeys } from '#artifacts';
import type { StateStore } from '../../state/state-store.js';
import { verifyAlone } from '../verify-alone.js';
import { CatchUpError } from './catch-up-error.js';
import type { ObjectFetcher } from './object-fetcher.js';

/** A revision of more bytes is not worth being fetched again. */
const OWN_REVISION_BYTES = 256 * 1024;

/**
 * A jump does not look at what lies between: that the revision which is here is one of the source's chain has to be seen
 * before, as long as the source has it.
 *
 * @returns why that could not be seen; null when it was
 * @throws CatchUpError `fork`; StoreError
 */
export async function requireSameChain(
  fetcher: ObjectFetcher,
  state: StateStore,
  trusted: TrustedKeys,
  signal: AbortSignal,
): Promise<string | null> {
  const { environment, hash, revision } = state.position;
  if (revision === 0) return null;
  const name = deltaName(environment, revision);
  let found: string;
  try {
    const bytes = await fetcher.one(name, OWN_REVISION_BYTES, signal);
    if (bytes === null) return `${name} is not kept there any more`;
    found = verifyAlone(bytes, environment, revision, trusted).hash.toString('hex');
  } catch (error) {
    // what nobody signed that is believed now says nothing, and what is too large is not worth it
    if (error instanceof FormatError || error instanceof CatchUpError) return error.message;
    throw error;
  }
  if (found === hash) return null;
  throw new CatchUpError(name, 'fork', `it has the hash ${found}; here it has ${hash}: two masters made one each`);
}
