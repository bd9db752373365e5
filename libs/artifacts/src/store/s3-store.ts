import { sleep } from '#platform';
import {
  type ArtifactStore,
  type Conditional,
  type Replaced,
  type StoreAbilities,
  StoreError,
  type StoredObject,
} from './artifact-store.js';
import { bounded } from './bounded.js';
import { checkName } from './names.js';
import { probeStore } from './probe.js';
import { explainS3, S3Answer } from './s3-answer.js';
import { S3Client, type S3Object, type S3Settings } from './s3-client.js';

const REPEAT_MS = 50;
/**
 * Above this size a write looks first whether its condition holds. A server may refuse a body that it has not read by
 * closing the connection, and then the refusal is lost with it (versitygw does so); besides, it saves the upload.
 */
const LOOK_FIRST_BYTES = 64 * 1024;

/** A write's condition: the header that says it, and the ability of the server that it rests on. */
type Condition =
  | { needs: 'createOnly'; header: 'If-None-Match'; tag: '*' }
  | { needs: 'ifMatch'; header: 'If-Match'; tag: string };

/** Objects of one bucket below a prefix. Tags are the server's ETags. */
export class S3Store implements ArtifactStore {
  readonly description: string;
  readonly #client: S3Client;
  readonly #where: string;
  /** what the probe found, until then the best */
  #honours: StoreAbilities = { createOnly: true, ifMatch: true };
  /** headers that the server answered with 501 Not Implemented */
  readonly #rejected = new Set<string>();
  /** A bucket that was there and is not now is not made again. */
  #seen = false;

  constructor(
    bucket: string,
    private readonly prefix: string,
    settings: S3Settings,
    private readonly options: { mayMake: () => Promise<boolean>; timeoutMs: number },
  ) {
    this.description = prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`;
    this.#client = new S3Client(bucket, settings);
    this.#where = `${this.description} at ${this.#client.origin}`;
  }

  async get(name: string, limitBytes: number, signal?: AbortSignal): Promise<StoredObject | null> {
    const found = await this.getIfChanged(name, null, limitBytes, signal);
    return found.kind === 'object' ? found.object : null;
  }

  getIfChanged(name: string, etag: string | null, limitBytes: number, signal?: AbortSignal): Promise<Conditional> {
    return this.#run(name, signal, async (key, ends) => {
      const found = await this.#find(key, etag, ends);
      if (found === 'missing' || found === 'unchanged') return { kind: found };
      return { kind: 'object', object: { bytes: await this.#readAll(found, name, limitBytes), etag: found.etag } };
    });
  }

  size(name: string, signal?: AbortSignal): Promise<number | null> {
    return this.#run(name, signal, async (key, ends) => {
      try {
        return await this.#client.size(key, ends);
      } catch (error) {
        if (isAnswer(error, 'NoSuchKey')) return null;
        throw error;
      }
    });
  }

  create(name: string, bytes: Buffer, signal?: AbortSignal): Promise<'created' | 'exists'> {
    return this.#run(name, signal, async (key, ends) => {
      const etag = await this.#put(key, bytes, { needs: 'createOnly', header: 'If-None-Match', tag: '*' }, ends);
      return etag === null ? 'exists' : 'created';
    });
  }

  replace(name: string, bytes: Buffer, expected: string | null, signal?: AbortSignal): Promise<Replaced> {
    return this.#run(name, signal, async (key, ends) => {
      const condition: Condition =
        expected === null
          ? { needs: 'createOnly', header: 'If-None-Match', tag: '*' }
          : { needs: 'ifMatch', header: 'If-Match', tag: expected };
      const etag = await this.#put(key, bytes, condition, ends);
      return etag === null ? { kind: 'conflict' } : { kind: 'replaced', etag };
    });
  }

  delete(name: string, signal?: AbortSignal): Promise<void> {
    return this.#run(name, signal, (key, ends) => this.#client.remove(key, ends));
  }

  list(folder: string, after: string, limit: number, signal?: AbortSignal): Promise<string[]> {
    return this.#run(folder, signal, async (key, ends) => {
      const start = this.prefix === '' ? after : `${this.prefix}/${after}`;
      const keys = await this.#client.list(`${key}/`, after === '' ? '' : start, limit, ends);
      return keys.map((each) => `${folder}${each.slice(key.length)}`);
    });
  }

  async probe(signal?: AbortSignal): Promise<StoreAbilities> {
    this.#honours = { createOnly: true, ifMatch: true };
    this.#rejected.clear();
    const seen = await probeStore(this, signal);
    // What was rejected was imitated while it was tried.
    this.#honours = {
      createOnly: seen.createOnly && !this.#rejected.has('If-None-Match'),
      ifMatch: seen.ifMatch && !this.#rejected.has('If-Match'),
    };
    return this.#honours;
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  async #run<T>(
    name: string,
    signal: AbortSignal | undefined,
    work: (key: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    checkName(name);
    const key = this.prefix === '' ? name : `${this.prefix}/${name}`;
    const where = `${this.#where}: ${name}`;
    return bounded(where, this.options.timeoutMs, signal, async (ends) => {
      try {
        const result = await this.#withBucket(() => work(key, ends), ends);
        this.#seen = true;
        return result;
      } catch (error) {
        throw explainS3(error, where);
      }
    });
  }

  async #withBucket<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isAnswer(error, 'NoSuchBucket') || this.#seen || !(await this.options.mayMake())) throw error;
    }
    try {
      await this.#client.makeBucket(signal);
    } catch (error) {
      if (!isAnswer(error, 'BucketAlreadyOwnedByYou', 'BucketAlreadyExists')) throw error;
    }
    this.#seen = true;
    return work();
  }

  /** The new tag, or null where the condition does not hold. */
  async #put(key: string, bytes: Buffer, condition: Condition, signal: AbortSignal): Promise<string | null> {
    const { needs, header, tag } = condition;
    for (;;) {
      const sends = !this.#rejected.has(header);
      // All that can be had from a server without conditions: to look, and to leave a race to whoever reads.
      const looks = !sends || !this.#honours[needs] || bytes.length > LOOK_FIRST_BYTES;
      if (looks && !(await this.#holds(key, condition, signal))) return null;
      const headers = sends ? { [header]: tag === '*' ? tag : `"${tag}"` } : {};
      try {
        return await this.#client.put(key, bytes, headers, signal);
      } catch (error) {
        if (!(error instanceof S3Answer)) throw error;
        if (error.status === 412 || (error.code === 'NoSuchKey' && header === 'If-Match')) return null;
        if (error.status === 501 && sends) this.#rejected.add(header);
        // AWS: another write of this name was under way, neither was judged, send it again.
        else if (error.code === 'ConditionalRequestConflict') await sleep(REPEAT_MS, signal);
        else throw error;
        signal.throwIfAborted();
      }
    }
  }

  async #holds(key: string, condition: Condition, signal: AbortSignal): Promise<boolean> {
    const found = await this.#find(key, null, signal);
    if (found === 'missing' || found === 'unchanged') return condition.tag === '*';
    await found.dump();
    return found.etag === condition.tag;
  }

  async #find(key: string, etag: string | null, signal: AbortSignal): Promise<S3Object | 'missing' | 'unchanged'> {
    try {
      return (await this.#client.get(key, etag, signal)) ?? 'unchanged';
    } catch (error) {
      // Not any 404: a wrong endpoint must not look like an empty store.
      if (isAnswer(error, 'NoSuchKey')) return 'missing';
      throw error;
    }
  }

  async #readAll(object: S3Object, name: string, limitBytes: number): Promise<Buffer> {
    const tooLarge = (size: string): StoreError =>
      new StoreError(
        'store_too_large',
        `${this.#where}: ${name} has ${size} bytes, more than the ${limitBytes} that are read`,
      );
    if (object.length !== null && object.length > limitBytes) throw tooLarge(String(object.length));
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of object.body) {
      size += chunk.length;
      if (size > limitBytes) throw tooLarge(`over ${limitBytes}`);
      chunks.push(chunk);
    }
    if (object.length !== null && size !== object.length) {
      throw new StoreError(
        'store_failed',
        `${this.#where}: ${name} ended after ${size} of ${object.length} bytes`,
        true,
      );
    }
    return Buffer.concat(chunks, size);
  }
}

function isAnswer(error: unknown, ...codes: string[]): boolean {
  return error instanceof S3Answer && codes.includes(error.code);
}
