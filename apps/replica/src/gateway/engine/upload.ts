import type { UpstreamConnection } from '../upstream/upstream-connection.js';
import { BOUNDS } from './bounds.js';
import type { ClientSide } from './client-side.js';
import { CHUNKED } from './wire/request-framing.js';

/** Parts up to here are copied into one text with their chunk's frame. */
const SMALL_BYTES = 12 * 1024;

/** A request's body on its way upstream: read whole before anything is sent if it is small, else as it comes. */
export class Upload {
  /** it goes on as it comes */
  streaming = false;
  /** what was collected, one character per byte */
  text = '';
  private collected: Buffer | null = null;
  private received = 0;

  constructor(private readonly client: ClientSide) {}

  /** @returns whether an upstream can be asked at once; else `end` of the body comes first */
  begin(): boolean {
    const { length } = this.client.framing;
    this.received = 0;
    // a body in chunks may be one that ends only when the answer to its beginning is there
    this.streaming = length === CHUNKED || length > BOUNDS.collectedBytes;
    if (this.streaming || length === 0) return true;
    this.client.collectBody();
    return false;
  }

  clear(): void {
    this.text = '';
    this.collected = null;
  }

  /** @returns whether it is within the limit; what is above it goes nowhere */
  take(bytes: Buffer, from: number, end: number, maxBytes: number, connection: UpstreamConnection | null): boolean {
    const before = this.received;
    this.received += end - from;
    if (this.received > maxBytes) return false;
    if (this.streaming) {
      if (connection && !this.send(bytes, from, end, connection)) this.client.blockBody();
      return true;
    }
    const { length } = this.client.framing;
    if (end - from === length) {
      this.text = bytes.toString('latin1', from, end);
      return true;
    }
    this.collected ??= Buffer.allocUnsafeSlow(length);
    bytes.copy(this.collected, before, from, end);
    if (this.received === length) {
      this.text = this.collected.toString('latin1');
      this.collected = null;
    }
    return true;
  }

  end(connection: UpstreamConnection | null): void {
    if (!connection) return;
    if (this.client.framing.length === CHUNKED) connection.write('0\r\n\r\n');
    connection.completeRequest();
  }

  /** @returns false: `connection` takes no more for now */
  private send(bytes: Buffer, from: number, end: number, connection: UpstreamConnection): boolean {
    const chunked = this.client.framing.length === CHUNKED;
    // the bytes are the client's own and nobody writes over them, so that they need not be copied
    if (!chunked) return connection.write(bytes.subarray(from, end));
    const size = `${(end - from).toString(16)}\r\n`;
    if (end - from <= SMALL_BYTES) return connection.write(`${size}${bytes.toString('latin1', from, end)}\r\n`);
    connection.write(size);
    connection.write(bytes.subarray(from, end));
    return connection.write('\r\n');
  }
}
