/** A master says something every 15 s: a connection on which nothing comes for so long leads nowhere. */
const SILENCE_MS = 45_000;

/**
 * The body of an answer that goes on, as it comes.
 *
 * The signal is heard here and not left to `fetch` alone: once the garbage collector has taken the request, its signal does not
 * reach the body any more (Node 20), and Ctrl-C would do nothing.
 *
 * @throws Error when it breaks, or when nothing comes for too long; the reason of the signal when that fires
 */
export async function* bodyBytes({ body }: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (!body) return;
  const reader = body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  let isSilent = false;
  const leave = (): void => void reader.cancel().catch(() => undefined); // it is broken already
  const arm = (): NodeJS.Timeout =>
    setTimeout(() => {
      isSilent = true;
      leave();
    }, SILENCE_MS);
  signal.addEventListener('abort', leave, { once: true });
  let fuse = arm();
  try {
    signal.throwIfAborted(); // it tells those who listen by then, and nobody later
    for (;;) {
      const { done, value } = await reader.read();
      clearTimeout(fuse); // while this end is busy with what has come, the other one is not silent
      signal.throwIfAborted();
      if (isSilent) throw new Error(`nothing came in ${SILENCE_MS / 1000} s`);
      if (done) return;
      yield value;
      fuse = arm();
    }
  } finally {
    clearTimeout(fuse);
    signal.removeEventListener('abort', leave);
    leave();
  }
}
