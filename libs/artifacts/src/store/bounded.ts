import { deferred } from '#platform';
import { StoreError } from './artifact-store.js';

/**
 * Runs `work` for at most `ms`: past that it rejects with `store_timeout`, and when `caller` fires with its reason,
 * whether or not `work` notices. The signal handed to `work` ends what it still has open after any failure.
 *
 * Not `AbortSignal.any`: a poller passes one signal for its whole life, and on Node 20 each derived signal stays
 * referenced from it.
 */
export async function bounded<T>(
  what: string,
  ms: number,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  caller?.throwIfAborted();
  const controller = new AbortController();
  const cut = deferred<never>();
  const onAbort = (): void => cut.reject(caller?.reason as Error);
  const timer = setTimeout(() => cut.reject(new StoreError('store_timeout', `${what}: not done within ${ms} ms`)), ms);
  caller?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work(controller.signal), cut.promise]);
  } catch (error) {
    controller.abort(error);
    throw error;
  } finally {
    clearTimeout(timer);
    caller?.removeEventListener('abort', onAbort);
  }
}
