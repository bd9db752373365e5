import type { Agent, Dispatcher } from 'undici';
import { createHash } from 'node:crypto';
import { type ArtifactReader, type Conditional, StoreError, type StoredObject } from './artifact-store.js';
import { bounded } from './bounded.js';
import { statusFault } from './http-fault.js';
import { checkName } from './names.js';

const TIMEOUT_MS = 10_000;
/** What is not read of an answer that is given up is thrown away up to here, so that the connection can be used again. */
const DUMP_BYTES = 16_384;

export interface HttpReaderOptions {
  /** sent with each request, such as `authorization`; never shown */
  headers?: Record<string, string>;
  /** bound of each call, in ms */
  timeoutMs?: number;
}

/**
 * Artifacts below a URL: `GET <base>/<name>` and `HEAD`. A master, another replica, or any server of static files answers so;
 * tags are the server's, or the SHA-256 of the bytes where it has none.
 */
export class HttpReader implements ArtifactReader {
  readonly description: string;
  readonly #base: string;
  readonly #headers: Record<string, string>;
  readonly #timeoutMs: number;
  #dispatcher: Agent | undefined;

  /** @param baseUrl `http://host:port/path` @throws StoreError `store_bad_name` for anything else */
  constructor(baseUrl: string, { headers = {}, timeoutMs = TIMEOUT_MS }: HttpReaderOptions = {}) {
    // The URL itself is not shown: somebody may have put credentials into it.
    const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
    if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
      throw new StoreError(
        'store_bad_name',
        'the address of a chain over HTTP is not of the form http://host:port/path, without credentials, "?" or "#"',
      );
    }
    this.#base = url.href.replace(/\/+$/, '');
    this.description = this.#base;
    this.#headers = { 'accept-encoding': 'identity', ...headers };
    this.#timeoutMs = timeoutMs;
  }

  async get(name: string, limitBytes: number, signal?: AbortSignal): Promise<StoredObject | null> {
    const found = await this.getIfChanged(name, null, limitBytes, signal);
    return found.kind === 'object' ? found.object : null;
  }

  getIfChanged(name: string, etag: string | null, limitBytes: number, signal?: AbortSignal): Promise<Conditional> {
    return this.#run(name, signal, async (where, ends) => {
      const condition: Record<string, string> = etag === null ? {} : { 'if-none-match': `"${etag}"` };
      const answer = await this.#request('GET', name, condition, ends);
      if (answer.statusCode === 304 && etag !== null) {
        await answer.body.dump();
        return { kind: 'unchanged' };
      }
      if (answer.statusCode === 404) {
        await answer.body.dump({ limit: DUMP_BYTES });
        return { kind: 'missing' };
      }
      if (answer.statusCode !== 200) throw await statusFault(answer, where);
      const bytes = await readAll(answer, where, limitBytes);
      const object = { bytes, etag: tagOf(answer.headers.etag) ?? createHash('sha256').update(bytes).digest('hex') };
      // from a server that knows no conditions
      return object.etag === etag ? { kind: 'unchanged' } : { kind: 'object', object };
    });
  }

  size(name: string, signal?: AbortSignal): Promise<number | null> {
    return this.#run(name, signal, async (where, ends) => {
      const answer = await this.#request('HEAD', name, {}, ends);
      await answer.body.dump();
      if (answer.statusCode === 404) return null;
      if (answer.statusCode !== 200) throw await statusFault(answer, where);
      const size = lengthOf(answer);
      if (size === null) throw new StoreError('store_failed', `${where}: the answer does not say how large it is`);
      return size;
    });
  }

  async close(): Promise<void> {
    await this.#dispatcher?.destroy();
  }

  #run<T>(
    name: string,
    signal: AbortSignal | undefined,
    work: (where: string, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const where = `${this.description}: ${name}`;
    return bounded(where, this.#timeoutMs, signal, async (ends) => {
      checkName(name);
      try {
        return await work(where, ends);
      } catch (error) {
        if (error instanceof StoreError || !(error instanceof Error)) throw error;
        // No answer at all, or not all of one: refused, reset, no such host, a certificate that is not trusted.
        const code = 'code' in error && typeof error.code === 'string' ? `${error.code} ` : '';
        throw new StoreError('store_unreachable', `${where}: ${code}${error.message}`);
      }
    });
  }

  async #request(
    method: 'GET' | 'HEAD',
    name: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const { Agent, request } = await import('undici'); // late: most processes read a directory or S3
    this.#dispatcher ??= new Agent();
    const answer = await request(`${this.#base}/${name}`, {
      method,
      dispatcher: this.#dispatcher,
      signal,
      headers: { ...this.#headers, ...headers },
    });
    // A body that is given up fails; without a listener that would end the process.
    answer.body.on('error', () => undefined);
    return answer;
  }
}

async function readAll(answer: Dispatcher.ResponseData, where: string, limitBytes: number): Promise<Buffer> {
  const tooLarge = (size: string): StoreError =>
    new StoreError('store_too_large', `${where} has ${size} bytes, more than the ${limitBytes} that are read`);
  const encoding = answer.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity')
    throw new StoreError(
      'store_failed',
      `${where}: the answer is encoded as ${String(encoding)}, which was not asked for`,
    );
  const length = lengthOf(answer);
  if (length !== null && length > limitBytes) throw tooLarge(String(length));
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limitBytes) throw tooLarge(`over ${limitBytes}`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof StoreError) throw error;
    throw ended(where, size, length, `: ${(error as Error).message}`);
  }
  if (length !== null && size !== length) throw ended(where, size, length, '');
  return Buffer.concat(chunks, size);
}

function ended(where: string, size: number, length: number | null, cause: string): StoreError {
  return new StoreError('store_failed', `${where} ended after ${size} of ${length ?? 'unknown'} bytes${cause}`, true);
}

function lengthOf({ headers }: Dispatcher.ResponseData): number | null {
  const length = headers['content-length'];
  return typeof length === 'string' && /^\d{1,15}$/.test(length) ? Number(length) : null;
}

/** Without its quotes, and without the `W/` of a proxy on the way. */
function tagOf(header: unknown): string | null {
  const tag = typeof header === 'string' ? header.replaceAll(/^W\/|"/g, '') : '';
  return tag === '' ? null : tag;
}
