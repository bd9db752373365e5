import { type ArtifactStore, FormatError, StoreError } from '#artifacts';
import type { Logger } from '#platform';

interface Target {
  store: ArtifactStore;
  log: Logger;
  signal: AbortSignal;
}

/**
 * Writes an object whose bytes follow from its name. One that is there already stays if it says the same, perhaps signed with
 * an earlier key, and is replaced if it is damaged.
 *
 * @param verify throws FormatError for bytes that no reader would take under this name
 */
export async function putObject(
  { store, log, signal }: Target,
  name: string,
  bytes: Buffer,
  limitBytes: number,
  verify: (bytes: Buffer) => void,
): Promise<void> {
  if ((await store.create(name, bytes, signal)) === 'created') return;
  const there = await whatLies(store, name, limitBytes, signal);
  if (there?.equals(bytes)) return;
  if (there) {
    try {
      return verify(there);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      log.error({ name, cause: error.message }, 'a damaged object of the artifact store is replaced');
    }
  }
  await store.delete(name, signal);
  await store.create(name, bytes, signal);
}

/** The bytes of an object; none of what is too large to be one of ours, and so is damage like any other. */
export async function whatLies(
  store: ArtifactStore,
  name: string,
  limitBytes: number,
  signal: AbortSignal,
): Promise<Buffer | null> {
  try {
    return (await store.get(name, limitBytes, signal))?.bytes ?? null;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'store_too_large') return Buffer.alloc(0);
    throw error;
  }
}
