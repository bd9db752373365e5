import { CR, isDigit, LF, SP, VALUE } from './characters.js';
import { FIELD } from './field-names.js';
import { type Fault, HeadParser } from './head-parser.js';

/** How the end of a body is told. */
export const NO_BODY = 0;
export const BY_LENGTH = 1;
export const BY_CHUNKS = 2;
export const BY_CLOSE = 3;

const CODE = -1;
const REASON = -2;
const LINE_LF = -3;

const PROTOCOL = Buffer.from('HTTP/1.');
const STATUS_AT = 'HTTP/1.1 '.length;
const DECIMAL = /^[0-9]{1,15}$/;
const TIMEOUT = /(?:^|[,; ])timeout=([0-9]{1,6})(?:$|[,; ])/i;

/** The head of an answer that comes from an upstream. */
export class ResponseParser extends HeadParser {
  status = 0;
  /** how the body ends: NO_BODY, BY_LENGTH ... */
  framing = NO_BODY;
  /** Content-Length, of whatever it would be the length; -1: it was not said */
  length = -1;
  /** the connection can be used again after it */
  keepsAlive = false;
  /** for how many seconds an idle connection is kept, says the upstream; -1: it does not say */
  keepAliveSeconds = -1;
  hasDate = false;
  /** Connection names more than the connection's own options */
  namesFields = false;
  /** it says that the connection speaks WebSocket from now on */
  switches = false;
  private old = false;
  private keeps = false;
  private closes = false;

  /** @param toHead the request was HEAD: there is no body, whatever the fields say */
  conclude(toHead: boolean): Fault | null {
    this.length = -1;
    this.keepAliveSeconds = -1;
    this.hasDate = this.namesFields = this.switches = false;
    this.keeps = this.closes = false;
    let codings = 0;
    for (let i = 0; i < this.count; i++) {
      switch (this.kinds[i] as number) {
        case FIELD.contentLength:
          if (this.length >= 0 || !DECIMAL.test(this.value(i))) return LENGTH_FAULT;
          this.length = Number(this.value(i));
          break;
        case FIELD.transferEncoding:
          codings += 1;
          if (codings > 1 || this.value(i).toLowerCase() !== 'chunked') return CODING_FAULT;
          break;
        case FIELD.connection:
          this.readConnection(this.value(i).toLowerCase());
          break;
        case FIELD.keepAlive:
          this.keepAliveSeconds = Number(TIMEOUT.exec(this.value(i))?.[1] ?? -1);
          break;
        case FIELD.upgrade:
          this.switches = this.value(i).toLowerCase() === 'websocket';
          break;
        case FIELD.date:
          this.hasDate = true;
      }
    }
    if (codings > 0 && (this.length >= 0 || this.old)) return BOTH_FAULT;
    const announced = codings > 0 || this.length > 0;
    if (announced && this.status < 200) return INTERIM_FAULT;
    // of two options that contradict each other the careful one counts
    this.keepsAlive = !this.closes && (!this.old || this.keeps);
    this.framing = this.framingOf(toHead, codings > 0);
    // forbidden (RFC 9110, 8.6), and who announces a body may well send it
    if (announced && this.status === 204) this.keepsAlive = false;
    return null;
  }

  protected override tooLarge(): Fault {
    return TOO_LARGE;
  }

  protected override readLine(start: number, end: number): number {
    const { bytes, base } = this;
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      switch (this.state) {
        case 0:
        case CODE:
          if (!this.readStatus(byte, at - base)) return this.refuse(at, LINE_FAULT);
          break;
        case REASON:
          if (byte === CR) this.state = LINE_LF;
          else if (!VALUE[byte]) return this.refuse(at, LINE_FAULT);
          break;
        default:
          if (byte !== LF) return this.refuse(at, LINE_FAULT);
          if (this.status < 100 || this.status > 599) return this.refuse(at, STATUS_FAULT);
          this.beginFields(at + 1);
          return at + 1;
      }
    }
    return at;
  }

  private readStatus(byte: number, index: number): boolean {
    if (index < PROTOCOL.length) return byte === PROTOCOL[index];
    if (index === PROTOCOL.length) {
      this.old = byte === 0x30;
      this.status = 0;
      return byte === 0x30 || byte === 0x31;
    }
    this.state = CODE;
    if (index === STATUS_AT - 1) return byte === SP;
    if (index < STATUS_AT + 3) {
      this.status = this.status * 10 + byte - 0x30;
      return isDigit(byte);
    }
    // some leave the space out when no reason follows
    this.state = byte === CR ? LINE_LF : REASON;
    return byte === CR || byte === SP;
  }

  private readConnection(options: string): void {
    if (options === 'keep-alive') {
      this.keeps = true;
      return;
    }
    for (const option of options.split(',')) {
      const name = option.trim();
      if (name === 'close') this.closes = true;
      else if (name === 'keep-alive') this.keeps = true;
      else if (name !== 'upgrade' && name !== '') this.namesFields = true;
    }
  }

  private framingOf(toHead: boolean, chunked: boolean): number {
    const { status } = this;
    if (toHead || status < 200 || status === 204 || status === 304) return NO_BODY;
    if (chunked) return BY_CHUNKS;
    if (this.length >= 0) return this.length === 0 ? NO_BODY : BY_LENGTH;
    this.keepsAlive = false;
    return BY_CLOSE;
  }
}

const fault = (detail: string): Fault => ({ status: 502, detail });
const LINE_FAULT = fault('the answer does not begin with a line like HTTP/1.1 200 OK');
const STATUS_FAULT = fault('the status of the answer is none');
const LENGTH_FAULT = fault('the answer has a Content-Length that is no decimal number, or several');
const CODING_FAULT = fault('the answer has a transfer coding other than chunked');
const BOTH_FAULT = fault('the answer has both Content-Length and Transfer-Encoding, or chunks in HTTP/1.0');
const INTERIM_FAULT = fault('an interim answer announces a body, which it cannot have');
const TOO_LARGE = fault('the head of the answer is too large');
