import { setMaxListeners } from 'node:events';
import { type ArtifactReader, StoreError } from '#artifacts';
import { CatchUpError } from './catch-up-error.js';

/** Fetched at a time, and what they may have together: an object of more is fetched alone. */
const PARALLEL = 16;
const AHEAD_BYTES = 32 * 1024 * 1024;

export interface Wanted {
  name: string;
  /** it has exactly so many */
  bytes: number;
}

/** Objects in the order they are wanted in, the next ones on their way meanwhile. */
export class ObjectFetcher {
  constructor(private readonly reader: ArtifactReader) {}

  /**
   * @throws CatchUpError for one that is missing or has another length, when it is its turn; StoreError when the
   * source does not answer; the signal's reason
   */
  async *inOrder<W extends Wanted>(
    wanted: readonly W[],
    signal: AbortSignal,
  ): AsyncGenerator<{ want: W; bytes: Buffer }> {
    const under = new AbortController();
    setMaxListeners(PARALLEL, under.signal);
    const onAbort = (): void => under.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const ahead: { want: W; outcome: Promise<{ bytes: Buffer } | { error: unknown }> }[] = [];
    let aheadBytes = 0;
    let next = 0;
    try {
      for (;;) {
        signal.throwIfAborted();
        for (let want = wanted[next]; want && hasRoom(ahead.length, aheadBytes + want.bytes); want = wanted[++next]) {
          ahead.push({ want, outcome: settled(this.#get(want, under.signal)) });
          aheadBytes += want.bytes;
        }
        const first = ahead.shift();
        if (!first) return;
        const outcome = await first.outcome;
        aheadBytes -= first.want.bytes;
        if ('error' in outcome) throw outcome.error;
        yield { want: first.want, bytes: outcome.bytes };
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      under.abort(new Error('it is not wanted any more'));
    }
  }

  /** The sizes of objects; null for one that is not there. */
  async sizes(names: readonly string[], signal: AbortSignal): Promise<(number | null)[]> {
    const sizes: (number | null)[] = [];
    for (let at = 0; at < names.length; at += PARALLEL) {
      signal.throwIfAborted();
      const some = names.slice(at, at + PARALLEL);
      sizes.push(...(await Promise.all(some.map((name) => this.reader.size(name)))));
    }
    return sizes;
  }

  /** Null when there is no such object. @throws CatchUpError for one of more than `limitBytes`; StoreError */
  async one(name: string, limitBytes: number, signal: AbortSignal): Promise<Buffer | null> {
    try {
      return (await this.reader.get(name, limitBytes, signal))?.bytes ?? null;
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'store_too_large') throw error;
      throw new CatchUpError(name, 'too_large', `it has more than the ${limitBytes} bytes that it may have`);
    }
  }

  async #get({ bytes, name }: Wanted, signal: AbortSignal): Promise<Buffer> {
    const object = await this.one(name, bytes, signal);
    if (object === null) throw missing(name, this.reader);
    if (object.length === bytes) return object;
    throw new CatchUpError(name, 'truncated', `it has ${object.length} of ${bytes} bytes`);
  }
}

export function missing(name: string, { description }: ArtifactReader): CatchUpError {
  return new CatchUpError(name, 'object_missing', `${description} does not have it`);
}

function hasRoom(objects: number, bytes: number): boolean {
  return objects === 0 || (objects < PARALLEL && bytes <= AHEAD_BYTES);
}

/** So that a failure waits for its turn, instead of being reported as nobody's. */
function settled(work: Promise<Buffer>): Promise<{ bytes: Buffer } | { error: unknown }> {
  return work.then(
    (bytes) => ({ bytes }),
    (error: unknown) => ({ error }),
  );
}
