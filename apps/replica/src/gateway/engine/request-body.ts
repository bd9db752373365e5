import { ChunkedDecoder } from './wire/chunked-decoder.js';
import { BOUNDS } from './bounds.js';
import type { Limits } from './limits.js';
import { CHUNKED, type RequestFraming } from './wire/request-framing.js';

/** Who wants a body, part by part. Bytes are valid during the call only. */
export interface BodyReader {
  /** @param from, end of the part in `bytes` */
  onBody(bytes: Buffer, from: number, end: number): void;
  onBodyFault(detail: string): void;
}

const COLLECTING = 1;
const STREAMING = 2;
const SKIPPING = 3;

/** The body of one request after the other, as its framing says. */
export class RequestBody {
  complete = true;
  /** bytes of it that came, without what frames them */
  private received = 0;
  /** how long more of it was waited for, in milliseconds */
  private waitedMs = 0;
  private use = 0;
  private left = 0;
  private readonly decoder = new ChunkedDecoder();

  constructor(
    private readonly framing: RequestFraming,
    private readonly reader: BodyReader,
  ) {}

  begin(): void {
    const { length } = this.framing;
    this.use = this.received = this.waitedMs = 0;
    this.left = length;
    this.complete = length === 0;
    if (length === CHUNKED) this.decoder.reset();
  }

  /** It goes on as it comes. */
  get streaming(): boolean {
    return this.use === STREAMING;
  }

  /** It is read only to find its end. */
  get unwanted(): boolean {
    return this.use === SKIPPING;
  }

  collect(): void {
    this.use = COLLECTING;
  }

  stream(): void {
    this.use = STREAMING;
  }

  skip(): void {
    this.use = SKIPPING;
  }

  /**
   * Whether it comes too slowly: to be asked once a sweep while bytes of it are waited for, and not while nobody takes them.
   *
   * @param quietMs since the last byte came
   * @param answered an answer has begun: an upstream that does so early talks with the client, for as long as it wants
   */
  tooSlow(quietMs: number, answered: boolean, limits: Limits): boolean {
    this.waitedMs += BOUNDS.sweepMs;
    if (quietMs > limits.stallMs) return true;
    return !(this.streaming && answered) && isBelowRate(this.received, this.waitedMs, limits);
  }

  /** @returns where to read on; after a fault, the end of `bytes` */
  read(bytes: Buffer, from: number): number {
    if (this.framing.length === CHUNKED) return this.readChunks(bytes, from);
    const at = Math.min(bytes.length, from + this.left);
    this.left -= at - from;
    this.received += at - from;
    this.complete = this.left === 0;
    if (this.use !== SKIPPING) this.reader.onBody(bytes, from, at);
    return at;
  }

  private readChunks(bytes: Buffer, from: number): number {
    const { decoder } = this;
    const at = decoder.read(bytes, from, bytes.length);
    if (decoder.faulty) {
      this.reader.onBodyFault('the body has chunks that are not valid');
      return bytes.length;
    }
    this.complete = decoder.done;
    this.received += decoder.end - decoder.from;
    if (decoder.end > decoder.from && this.use !== SKIPPING) this.reader.onBody(bytes, decoder.from, decoder.end);
    return at;
  }
}

/** @param received bytes @param waitedMs for how long they, and more, were waited for */
export function isBelowRate(received: number, waitedMs: number, { stallMs, bodyRate }: Limits): boolean {
  return bodyRate !== 0 && waitedMs > stallMs + (received * 1000) / bodyRate;
}
