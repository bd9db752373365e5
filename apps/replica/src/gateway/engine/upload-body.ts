import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

export interface UploadEvents {
  /** the upstream is ready for the first byte */
  onWanted(): void;
  /** bytes went on */
  onProgress(): void;
  onTooLarge(maxBytes: number): void;
}

/**
 * A request's body on its way upstream, counted. It stands between the two because the client for upstreams destroys
 * the stream that it was given when it needs no more of it, and that must not take the caller's connection along.
 */
export class UploadBody extends Readable {
  private received = 0;
  private wanted = false;
  /** the upstream waits for bytes that the client has not sent */
  starved = false;

  constructor(
    private readonly request: IncomingMessage,
    private readonly maxBytes: number | null,
    private readonly events: UploadEvents,
  ) {
    super();
  }

  override _read(): void {
    if (!this.wanted) {
      this.wanted = true;
      this.request.on('data', this.onData);
      this.request.on('end', this.onEnd);
      this.events.onWanted();
    }
    this.starved = true;
    this.request.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.starved = false;
    this.request.off('data', this.onData);
    this.request.off('end', this.onEnd);
    if (this.wanted) this.request.pause();
    callback(error);
  }

  private readonly onData = (chunk: Buffer): void => {
    this.received += chunk.length;
    if (this.maxBytes !== null && this.received > this.maxBytes) {
      this.events.onTooLarge(this.maxBytes);
      return;
    }
    this.starved = false;
    this.events.onProgress();
    if (!this.push(chunk)) this.request.pause();
  };

  private readonly onEnd = (): void => {
    this.starved = false;
    this.push(null);
  };
}
