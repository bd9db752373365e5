import { setMaxListeners } from 'node:events';

/** Ends the work with either of the two signals. */
export async function untilEither<T>(signal: AbortSignal, ends: AbortController, work: () => Promise<T>): Promise<T> {
  const stop = (): void => ends.abort();
  setMaxListeners(0, ends.signal); // what is fetched ahead listens, too
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await work();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
