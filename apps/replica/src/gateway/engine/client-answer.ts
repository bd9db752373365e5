import { STATUS_CODES } from 'node:http';
import type { Answer } from './client-side.js';
import type { ConnectionHost } from './engine-parts.js';
import type { Outlet } from './outlet.js';

/** Length of a body that is not known beforehand. */
export const UNKNOWN = -1;

/** Whether an answer ends with its head. A body that an upstream sends all the same is read, and stays behind. */
export function isBodiless(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 205 || status === 304;
}

/** What Content-Length has to say (RFC 9110, 8.6 and 15.3.6): nothing with 204, and 0 with 205, whatever the upstream said. */
export function lengthSaid(status: number, length: number): number {
  if (status === 204) return UNKNOWN;
  return status === 205 ? 0 : length;
}

/** Parts of a body up to here are copied into one text with what stands before and after them. */
const SMALL_BYTES = 12 * 1024;

const STATUS_LINES = Array.from(
  { length: 600 },
  (_, status) => `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`,
);

/** A text as one character per byte of its UTF-8, which is how heads and bodies leave together. */
export function bytesOf(text: string): string {
  return Buffer.byteLength(text) === text.length ? text : Buffer.from(text).toString('latin1');
}

/** An answer as HTTP/1.1 on a socket; what is told in one go leaves in one write. */
export class ClientAnswer implements Answer {
  status = 0;
  begun = false;
  closing = false;
  private chunked = false;
  private bodiless = false;
  private text = '';
  /** something has left */
  private away = false;

  constructor(
    private readonly engine: ConnectionHost,
    private readonly outlet: Outlet,
  ) {}

  reset(): void {
    this.status = 0;
    this.begun = this.closing = this.chunked = this.bodiless = this.away = false;
    this.text = '';
  }

  get blocked(): boolean {
    return this.outlet.full;
  }

  sayContinue(): void {
    this.outlet.say('HTTP/1.1 100 Continue\r\n\r\n');
  }

  begin(
    status: number,
    fields: string,
    requestId: string,
    length: number,
    bodiless: boolean,
    old: boolean,
    dated: boolean,
  ): void {
    this.begun = true;
    this.status = status;
    this.bodiless = bodiless;
    let framing = '';
    const said = lengthSaid(status, length);
    if (said !== UNKNOWN) {
      framing = `Content-Length: ${said}\r\n`;
    } else if (!bodiless && old) {
      this.closing = true;
    } else if (!bodiless) {
      this.chunked = true;
      framing = 'Transfer-Encoding: chunked\r\n';
    }
    const date = dated ? '' : this.engine.dateLine;
    const end = this.closing ? 'Connection: close\r\n\r\n' : '\r\n';
    this.text = `${STATUS_LINES[status]}${fields}${framing}X-Request-Id: ${requestId}\r\n${date}${end}`;
  }

  switchProtocols(fields: string, requestId: string): void {
    this.begun = true;
    this.status = 101;
    this.text = `${STATUS_LINES[101]}${fields}Connection: Upgrade\r\nUpgrade: websocket\r\nX-Request-Id: ${requestId}\r\n\r\n`;
    this.flush();
  }

  data(bytes: Buffer, from: number, end: number): void {
    if (this.bodiless) return;
    const size = this.chunked ? `${(end - from).toString(16)}\r\n` : '';
    const tail = this.chunked ? '\r\n' : '';
    if (end - from <= SMALL_BYTES) {
      this.text += size + bytes.toString('latin1', from, end) + tail;
      return;
    }
    this.text += size;
    this.flush();
    this.outlet.pass(Buffer.from(bytes.subarray(from, end)));
    this.text = tail;
  }

  takeBack(): boolean {
    if (this.away) return false;
    this.reset();
    return true;
  }

  pass(bytes: Buffer, from: number, end: number): void {
    this.outlet.pass(Buffer.from(bytes.subarray(from, end)));
  }

  flush(): void {
    if (this.text === '') return;
    this.away = true;
    this.outlet.say(this.text);
    this.text = '';
  }

  end(): void {
    if (this.chunked) this.text += '0\r\n\r\n';
    this.flush();
  }

  endWith(body: string): void {
    if (!this.bodiless) this.text += body;
    this.flush();
  }
}
