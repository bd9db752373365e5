import { sleep } from '#platform';
import { type ArtifactReader, type ArtifactStore, StoreError } from './artifact-store.js';

/** How long the tries of one call may have taken for there to be another one: a store that is away fails soon all the same. */
const PATIENCE_MS = 4_000;
const PAUSE_MS = 50;
/** A writer has nowhere else to go, and a batch of many calls to bring to its end; a reader may have other sources. */
const TRIES = { writer: 6, reader: 4 };

/**
 * A source of which single calls fail: an overloaded one answers a share of them with 503. To begin a whole batch anew, or to
 * wait for the next look, for each of them would hardly ever come to an end.
 */
export function patientReader(reader: ArtifactReader): ArtifactReader {
  return withTries(reader, TRIES.reader);
}

/** As `patientReader`. A write that is tried again may have happened before: whoever calls compares then. */
export function patientStore(store: ArtifactStore): ArtifactStore {
  const again = <T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> =>
    tried(TRIES.writer, signal, call);
  return {
    ...withTries(store, TRIES.writer),
    list: (folder, after, limit, signal) => again(signal, () => store.list(folder, after, limit, signal)),
    create: (name, bytes, signal) => again(signal, () => store.create(name, bytes, signal)),
    replace: (name, bytes, expected, signal) => again(signal, () => store.replace(name, bytes, expected, signal)),
    delete: (name, signal) => again(signal, () => store.delete(name, signal)),
    probe: (signal) => store.probe(signal),
  };
}

function withTries(reader: ArtifactReader, tries: number): ArtifactReader {
  return {
    description: reader.description,
    get: (name, limitBytes, signal) => tried(tries, signal, () => reader.get(name, limitBytes, signal)),
    getIfChanged: (name, etag, limitBytes, signal) =>
      tried(tries, signal, () => reader.getIfChanged(name, etag, limitBytes, signal)),
    size: (name, signal) => tried(tries, signal, () => reader.size(name, signal)),
    close: () => reader.close(),
  };
}

async function tried<T>(most: number, signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
  const began = performance.now();
  for (let tries = 1; ; tries++) {
    try {
      return await call();
    } catch (error) {
      const passes = error instanceof StoreError && error.retriable && error.code !== 'store_full';
      if (!passes || tries >= most || performance.now() - began > PATIENCE_MS || signal?.aborted) throw error;
      await sleep(PAUSE_MS * 2 ** tries * Math.random(), signal);
    }
  }
}
