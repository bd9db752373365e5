import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request as send, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { deferred } from '#platform';
import { freePort } from './free-ports.js';
import { type S3Address, s3Client } from './services.js';

/** What is wrong with a store. */
export type StoreFault =
  /** nobody listens at its address */
  | { kind: 'gone' }
  /** requests are taken and not answered; they go on when the fault is over */
  | { kind: 'hanging' }
  /** every request takes so many milliseconds longer */
  | { kind: 'slow'; ms: number }
  /** a share of the requests, 0 to 1, is answered 503 SlowDown */
  | { kind: 'busy'; share: number }
  /** a share of the connections is reset in the middle of the answer: of a write's, after the write has happened */
  | { kind: 'cutting'; share: number }
  /** bodies of objects are half as long as they should be, and announced like that */
  | { kind: 'truncating' }
  /** writes are answered 507, as MinIO does when its disk is full */
  | { kind: 'full' }
  /** writes are answered 403 */
  | { kind: 'read-only' }
  /** conditions of writes are taken and not kept: every PUT overwrites */
  | { kind: 'unconditional' };

export interface FaultProxy {
  /** the store as its users are to see it: to be signed for this address, with the same credentials */
  s3: S3Address;
  /** requests that the present fault has changed: a test that saw none has tested nothing */
  readonly hits: number;
  /** From now on; null ends the fault. */
  set(fault: StoreFault | null): Promise<void>;
  close(): Promise<void>;
}

/**
 * A store on the loopback interface that is a real S3 server, until it is told to be something worse. Without a fault every
 * byte passes unchanged, the Host header too, which signatures cover.
 */
export async function faultProxy(target: S3Address): Promise<FaultProxy> {
  const proxy = new Proxy(target);
  await proxy.open();
  return proxy;
}

class Proxy implements FaultProxy {
  hits = 0;
  #fault: StoreFault | null = null;
  #ends = deferred<void>();
  #port = 0;
  readonly #agent = new Agent({ keepAlive: true });
  #server = this.#newServer();

  constructor(private readonly target: S3Address) {}

  get s3(): S3Address {
    const { accessKey, secretKey, region } = this.target;
    return { endpoint: `http://127.0.0.1:${this.#port}`, accessKey, secretKey, region };
  }

  async open(): Promise<void> {
    this.#port ||= await freePort();
    this.#server = this.#newServer().listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async set(fault: StoreFault | null): Promise<void> {
    const listens = fault?.kind !== 'gone';
    this.#fault = fault;
    this.hits = 0;
    this.#ends.resolve();
    this.#ends = deferred();
    if (!listens) await this.#shut();
    else if (!this.#server.listening) await this.open();
  }

  async close(): Promise<void> {
    this.#ends.resolve();
    await this.#shut();
    this.#agent.destroy();
  }

  async #shut(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #newServer(): ReturnType<typeof createServer> {
    return createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fault = this.#fault;
    const writes = request.method !== 'GET' && request.method !== 'HEAD';
    switch (fault?.kind) {
      case 'hanging':
        this.hits += 1;
        await this.#ends.promise;
        return this.#pass(request, response);
      case 'slow':
        this.hits += 1;
        await sleep(fault.ms);
        return this.#pass(request, response);
      case 'busy':
        return this.#strikes(fault.share) ? refuse(request, response, 503, 'SlowDown') : this.#pass(request, response);
      case 'cutting':
        return this.#pass(request, response, this.#strikes(fault.share) ? 'cut' : 'whole');
      case 'truncating':
        return this.#pass(request, response, !writes && this.#strikes(1) ? 'short' : 'whole');
      case 'full':
        return writes && this.#strikes(1)
          ? refuse(request, response, 507, 'XMinioStorageFull')
          : this.#pass(request, response);
      case 'read-only':
        return writes && this.#strikes(1)
          ? refuse(request, response, 403, 'AccessDenied')
          : this.#pass(request, response);
      case 'unconditional':
        return request.method === 'PUT' && this.#strikes(1)
          ? this.#overwrite(request, response)
          : this.#pass(request, response);
      case 'gone':
      case undefined:
        return this.#pass(request, response);
    }
  }

  #strikes(share: number): boolean {
    const strikes = Math.random() < share;
    if (strikes) this.hits += 1;
    return strikes;
  }

  async #pass(request: IncomingMessage, response: ServerResponse, body: 'whole' | 'short' | 'cut' = 'whole') {
    const { hostname, port } = new URL(this.target.endpoint);
    const { method, url: path, rawHeaders: headers } = request;
    // An array of headers is sent as it is: nothing is added, least of all another Host.
    const passed = send({ hostname, port, method, path, headers: [...headers], agent: this.#agent });
    response.once('close', () => passed.destroy());
    request.pipe(passed);
    const [answer] = (await once(passed, 'response')) as [IncomingMessage];
    const { statusCode = 502, rawHeaders } = answer;
    if (body === 'whole' || statusCode !== 200) {
      response.writeHead(statusCode, rawHeaders);
      answer.pipe(response);
      return;
    }
    const bytes = await buffer(answer);
    const half = bytes.subarray(0, Math.floor(bytes.length / 2));
    if (body === 'short') {
      const without = Object.entries(answer.headers).filter(([name]) => !/^(content-length|transfer-enc)/.test(name));
      response.writeHead(statusCode, { ...Object.fromEntries(without), 'content-length': half.length });
      response.end(half);
    } else if (half.length > 0) {
      response.writeHead(statusCode, rawHeaders);
      response.write(half, () => response.socket?.resetAndDestroy());
    } else {
      response.socket?.resetAndDestroy();
    }
  }

  /** The signature covers the condition, so the write is made anew without it. */
  async #overwrite(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, bucket = '', ...key] = new URL(request.url ?? '', 'http://store').pathname.split('/');
    const bytes = await buffer(request);
    if (key.length === 0) return refuse(request, response, 409, 'BucketAlreadyOwnedByYou');
    const client = s3Client(this.target);
    const { etag } = await client.putObject(bucket, decodeURIComponent(key.join('/')), bytes, bytes.length);
    response.writeHead(200, { etag: `"${etag}"` }).end();
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, status: number, code: string): void {
  request.resume();
  request.once('end', () => {
    response.writeHead(status, { 'content-type': 'application/xml' });
    response.end(`<Error><Code>${code}</Code><Message>the test says so</Message></Error>`);
  });
}
