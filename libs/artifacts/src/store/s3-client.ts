import http from 'node:http';
import https from 'node:https';
import type { BucketItem, Client, ClientOptions } from 'minio';
import type { Agent, Dispatcher } from 'undici';
import { readAnswer, S3Answer } from './s3-answer.js';

export interface S3Settings {
  /** `http://host:port` or `https://host`, without a path */
  endpoint: string;
  accessKey: string;
  secretKey: string;
  /** `us-east-1` where it is not given, which MinIO and most others take */
  region?: string;
}

/** An answer whose body has not been read yet; `dump` or read it. */
export interface S3Object {
  etag: string;
  /** from Content-Length; null where the server does not say */
  length: number | null;
  body: AsyncIterable<Buffer>;
  dump(): Promise<void>;
}

/** S3 takes up to 5 GiB in one PUT. Above this size `minio` would send parts, which carry no condition. */
const ONE_PUT = 5 * 1024 ** 3;
/** The clocks may differ by as much as S3 allows for other requests; the URL stays in this process. */
const PRESIGNED_SECONDS = 900;

type OnResponse = (response: http.IncomingMessage) => void;

/**
 * One bucket of an S3 server through the `minio` client, with what that lacks: calls that end with a signal, the
 * server's own error for every status (it drops the text of a 500 or 503, and keeps the connection), no retry of its own
 * (one that prints to the console, and repeats a conditional write after it succeeded), and a conditional GET.
 */
export class S3Client {
  readonly #endpoint: URL;
  readonly #settings: S3Settings;
  readonly #agent: http.Agent;
  #dispatcher: Agent | undefined;

  constructor(
    readonly bucket: string,
    settings: S3Settings,
  ) {
    this.#settings = settings;
    this.#endpoint = new URL(settings.endpoint);
    this.#agent = new (this.#module().Agent)({ keepAlive: true });
  }

  /** The new object's tag. */
  async put(key: string, bytes: Buffer, headers: Record<string, string>, signal: AbortSignal): Promise<string> {
    const { etag } = await (await this.#client(signal)).putObject(this.bucket, key, bytes, bytes.length, headers);
    return tagOf(etag);
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    await (await this.#client(signal)).removeObject(this.bucket, key);
  }

  /** Keys that begin with `prefix` and have no slash after it, in their order, after `startAfter`. */
  async list(prefix: string, startAfter: string, limit: number, signal: AbortSignal): Promise<string[]> {
    const stream = (await this.#client(signal)).listObjectsV2(this.bucket, prefix, false, startAfter);
    const keys: string[] = [];
    for await (const { name } of stream as AsyncIterable<BucketItem>) {
      if (name === undefined) continue; // a folder
      keys.push(name);
      if (keys.length === limit) break;
    }
    return keys;
  }

  async makeBucket(signal: AbortSignal): Promise<void> {
    await (await this.#client(signal)).makeBucket(this.bucket, this.#settings.region);
  }

  /** Null where the object still has the tag. */
  async get(key: string, unlessTag: string | null, signal: AbortSignal): Promise<S3Object | null> {
    const conditions: Record<string, string> = unlessTag === null ? {} : { 'if-none-match': `"${unlessTag}"` };
    const { statusCode, headers, body } = await this.#read(key, conditions, signal);
    if (statusCode === 304) {
      await body.dump();
      return null;
    }
    if (statusCode !== 200) throw await readAnswer(statusCode, body);
    const { etag, 'content-length': length } = headers;
    return {
      etag: tagOf(etag),
      length: typeof length === 'string' ? Number(length) : null,
      body,
      dump: () => body.dump(),
    };
  }

  /** By its first byte and not by HEAD, whose answer cannot say whether the key or the whole bucket is missing. */
  async size(key: string, signal: AbortSignal): Promise<number> {
    const { statusCode, headers, body } = await this.#read(key, { range: 'bytes=0-0' }, signal);
    if (statusCode !== 200 && statusCode !== 206 && statusCode !== 416) throw await readAnswer(statusCode, body);
    await body.dump();
    if (statusCode === 416) return 0; // no first byte
    const { 'content-range': range, 'content-length': length } = headers;
    const size = statusCode === 200 ? length : /\/(\d+)$/.exec(String(range))?.[1];
    if (typeof size === 'string') return Number(size);
    throw new S3Answer(statusCode, 'NoLength', 'the server does not say how large an object is');
  }

  async #read(key: string, conditions: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const url = await (await this.#client(signal)).presignedUrl('GET', this.bucket, key, PRESIGNED_SECONDS);
    const { Agent, request } = await import('undici'); // late, like `minio` below
    this.#dispatcher ??= new Agent();
    const answer = await request(url, {
      dispatcher: this.#dispatcher,
      signal,
      headers: { 'accept-encoding': 'identity', ...conditions },
    });
    // A body that is given up fails; without a listener that would end the process.
    answer.body.on('error', () => undefined);
    return answer;
  }

  /** for messages */
  get origin(): string {
    return this.#endpoint.origin;
  }

  async close(): Promise<void> {
    this.#agent.destroy();
    await this.#dispatcher?.destroy();
  }

  /** A `minio` client for one call: it has no signal to pass, but takes a transport. */
  async #client(signal: AbortSignal): Promise<Client> {
    // Loaded when it is needed: it takes longer and more memory than all the rest of a process that has a directory.
    const { Client } = await import('minio');
    const { hostname, port, protocol } = this.#endpoint;
    const { accessKey, secretKey, region = 'us-east-1' } = this.#settings;
    return new Client({
      endPoint: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port),
      useSSL: protocol === 'https:',
      accessKey,
      secretKey,
      // Without one, every client begins with a request for it.
      region,
      partSize: ONE_PUT,
      retryOptions: { disableRetry: true },
      transportAgent: this.#agent,
      transport: {
        request: (options: http.RequestOptions, done: OnResponse) => this.#request(options, done, signal),
      } as ClientOptions['transport'],
    });
  }

  #request(options: http.RequestOptions, done: OnResponse, signal: AbortSignal): http.ClientRequest {
    const sent = this.#module().request({ ...options, signal }, (response) => {
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) done(response);
      else void readAnswer(status, response).then((answer) => sent.emit('error', answer));
    });
    return sent;
  }

  #module(): typeof http | typeof https {
    return this.#endpoint.protocol === 'https:' ? https : http;
  }
}

/** Without its quotes, and without the `W/` of a proxy on the way: the server itself knows only strong tags. */
function tagOf(header: unknown): string {
  if (typeof header === 'string' && header !== '') return header.replaceAll(/^W\/|"/g, '');
  throw new S3Answer(
    200,
    'NoETag',
    'the server does not tag objects, so that nothing can be written under a condition',
  );
}
