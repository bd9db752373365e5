import type { IncomingMessage, ServerResponse } from 'node:http';
import { BOUNDS } from './bounds.js';
import type { HeaderList } from './header-lists.js';
import { bodyLength } from './request-reading.js';

/** The answer to one request, and what becomes of the connection afterwards. */
export class ClientAnswer {
  /** the connection ends with this answer */
  closing = false;
  private bodyTaken = false;
  private legible = true;
  /** ends an answer that is complete, and only reads on a while */
  private linger: (() => void) | null = null;

  /**
   * @param expectsContinue the client sends its body when it is told to
   * @param draining whether connections are to be closed after their next answer
   */
  constructor(
    private readonly request: IncomingMessage,
    private readonly response: ServerResponse,
    private readonly requestId: string,
    private expectsContinue: boolean,
    private readonly draining: () => boolean,
  ) {}

  get begun(): boolean {
    return this.response.headersSent;
  }

  /** Somebody wants the body. */
  takeBody(): void {
    this.bodyTaken = true;
    if (this.expectsContinue) this.response.writeContinue();
    this.expectsContinue = false;
  }

  /** Nobody can tell any more what the client sends. */
  giveUpReading(): void {
    this.legible = false;
    this.closing = true;
  }

  /** The rest of what the client sends is of no use. @returns whether the connection ends with an answer that is complete */
  finish(): boolean {
    this.linger?.();
    return this.closing && this.response.writableEnded;
  }

  /** @throws Error of node:http for a name, value or status that must not be written */
  writeHead(status: number, headers: HeaderList): void {
    this.closing ||= this.mustClose();
    const connection = this.closing ? ['Connection', 'close'] : [];
    this.response.writeHead(status, [...headers, 'X-Request-Id', this.requestId, ...connection]);
  }

  /** @returns false when the client does not take it fast enough: 'drain' of the response follows */
  write(chunk: Buffer): boolean {
    return this.response.write(chunk);
  }

  /** A whole answer of the gateway itself. */
  send(status: number, headers: HeaderList, body: string | Buffer): void {
    const bodiless = status === 204 || status === 304;
    this.writeHead(status, bodiless ? headers : [...headers, 'Content-Length', String(Buffer.byteLength(body))]);
    if (body.length > 0) this.response.write(body);
    this.end();
  }

  /** Ends the answer; before that reads on a while: a reset would overtake the answer to a client that still sends. */
  end(): void {
    const { request, response } = this;
    if (request.complete || !this.closing || !this.legible || this.expectsContinue) {
      response.end();
      return;
    }
    let left: number = BOUNDS.lingerBytes;
    const finish = (): void => {
      this.linger = null;
      clearTimeout(timer);
      request.off('data', count).off('end', finish);
      response.end();
    };
    const count = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left < 0) finish();
    };
    const timer = setTimeout(finish, BOUNDS.lingerMs);
    this.linger = finish;
    response.once('close', () => clearTimeout(timer));
    request.on('data', count).on('end', finish).resume();
  }

  /** Breaks the connection. By a reset: without a length, an orderly end would pass for the end of the answer. */
  reset(): void {
    this.request.socket.resetAndDestroy();
  }

  /** A connection is not used again where the rest of a body would stand before the next request. */
  private mustClose(): boolean {
    if (this.draining() || this.expectsContinue) return true;
    if (this.request.complete) return false;
    const length = bodyLength(this.request);
    return this.bodyTaken || length === null || length > BOUNDS.discardedBytes;
  }
}
