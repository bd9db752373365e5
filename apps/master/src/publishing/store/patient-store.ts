import { type ArtifactStore, StoreError } from '#artifacts';
import { sleep } from '#platform';

/** Tries of one call, and how long they may have taken for there to be another one: a store that is away fails soon all the same. */
const TRIES = 6;
const PATIENCE_MS = 4_000;
const PAUSE_MS = 50;

/**
 * A store of which single calls fail: an overloaded one answers a share of them with 503. To begin a whole batch anew for
 * each would never come to its end. A write that is tried again may have happened before: whoever calls compares then.
 */
export function patient(store: ArtifactStore): ArtifactStore {
  return {
    description: store.description,
    get: (name, limitBytes, signal) => again(signal, () => store.get(name, limitBytes, signal)),
    getIfChanged: (name, etag, limitBytes, signal) =>
      again(signal, () => store.getIfChanged(name, etag, limitBytes, signal)),
    size: (name, signal) => again(signal, () => store.size(name, signal)),
    list: (folder, after, limit, signal) => again(signal, () => store.list(folder, after, limit, signal)),
    create: (name, bytes, signal) => again(signal, () => store.create(name, bytes, signal)),
    replace: (name, bytes, expected, signal) => again(signal, () => store.replace(name, bytes, expected, signal)),
    delete: (name, signal) => again(signal, () => store.delete(name, signal)),
    probe: (signal) => store.probe(signal),
    close: () => store.close(),
  };
}

async function again<T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
  const began = performance.now();
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      const passes = error instanceof StoreError && error.retriable && error.code !== 'store_full';
      if (!passes || tries >= TRIES || performance.now() - began > PATIENCE_MS || signal?.aborted) throw error;
      await sleep(PAUSE_MS * 2 ** tries * Math.random(), signal);
    }
  }
}
