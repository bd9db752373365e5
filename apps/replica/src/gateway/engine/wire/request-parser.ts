import { METHODS } from 'node:http';
import type { RequestHead } from '../../decide/request-head.js';
import { CR, isDigit, LF, SP, TARGET, TOKEN } from './characters.js';
import { type Fault, HeadParser } from './head-parser.js';

const START = 0;
const LEADING_LF = -1;
const METHOD = -2;
const IN_TARGET = -3;
const VERSION = -4;

/** Longer than any method is. */
const METHOD_BYTES = 24;
const SLASH = 0x2f;
const PROTOCOL = Buffer.from('HTTP/');

/** By length, so that few have to be compared. What node's parser does not know, upstreams of node would refuse. */
const BY_LENGTH: { text: string; bytes: Buffer }[][] = Array.from({ length: METHOD_BYTES + 1 }, () => []);
for (const text of ['GET', 'POST', ...METHODS.filter((method) => method !== 'GET' && method !== 'POST')])
  BY_LENGTH[text.length]?.push({ text, bytes: Buffer.from(text) });

/** The head of a request, as `decide` wants it. */
export class RequestParser extends HeadParser implements RequestHead {
  method = '';
  target = '';
  requestId = '';
  /** HTTP/1.0 */
  old = false;
  private lineAt = 0;
  private targetAt = 0;
  private targetEnd = 0;
  private major = 0;

  constructor(
    readonly remoteAddress: string,
    readonly scheme: 'http' | 'https',
    maxBytes?: number,
  ) {
    super(maxBytes);
  }

  override reset(): void {
    super.reset();
    this.lineAt = 0;
  }

  /** The target and what `slice` needs: made when the head is complete. */
  finish(): void {
    this.target = this.slice(this.targetAt, this.targetEnd);
  }

  tooSlow(ms: number): Fault {
    return { status: 408, detail: `the head of the request took longer than ${ms} ms` };
  }

  protected override tooLarge(): Fault {
    const part = this.state < 0 ? 'first line' : 'head';
    const detail = `the ${part} of the request is larger than ${this.maxBytes} bytes`;
    return { status: this.state < 0 ? 414 : 431, detail };
  }

  protected override readLine(start: number, end: number): number {
    const { bytes, base } = this;
    let at = start;
    while (at < end) {
      const byte = bytes[at] as number;
      switch (this.state) {
        case START:
          // one empty line is left over by old clients (RFC 9112, 2.2)
          if (byte === CR && at === base) this.state = LEADING_LF;
          else if (!TOKEN[byte]) return this.refuse(at, LINE_FAULT);
          else this.state = METHOD;
          break;
        case LEADING_LF:
          if (byte !== LF) return this.refuse(at, LINE_FAULT);
          this.lineAt = 2;
          this.state = START;
          break;
        case METHOD: {
          if (TOKEN[byte] && at - base - this.lineAt < METHOD_BYTES) break;
          if (TOKEN[byte]) return this.refuse(at, METHOD_FAULT);
          if (byte !== SP) return this.refuse(at, LINE_FAULT);
          const method = methodOf(bytes, base + this.lineAt, at);
          if (method === null) return this.refuse(at, METHOD_FAULT);
          if (method === 'CONNECT') return this.refuse(at, CONNECT_FAULT);
          this.method = method;
          this.targetAt = at + 1 - base;
          this.state = IN_TARGET;
          break;
        }
        case IN_TARGET:
          // nothing but paths is served: no absolute form, no asterisk
          if (at === base + this.targetAt && byte !== SLASH) return this.refuse(at, TARGET_FAULT);
          if (TARGET[byte]) break;
          if (byte !== SP) return this.refuse(at, TARGET_FAULT);
          this.targetEnd = at - base;
          this.state = VERSION;
          break;
        default: {
          const fault = this.version(byte, at - base - this.targetEnd - 1);
          if (fault) return this.refuse(at, fault);
          if (byte === LF) {
            this.beginFields(at + 1);
            return at + 1;
          }
        }
      }
      at += 1;
    }
    return at;
  }

  /** @param index of the byte in `HTTP/1.1`, CR and LF */
  private version(byte: number, index: number): Fault | null {
    if (index < PROTOCOL.length) return byte === PROTOCOL[index] ? null : LINE_FAULT;
    switch (index - PROTOCOL.length) {
      case 0:
        this.major = byte;
        return isDigit(byte) ? null : LINE_FAULT;
      case 1:
        return byte === 0x2e ? null : LINE_FAULT;
      case 2:
        if (!isDigit(byte)) return LINE_FAULT;
        this.old = byte === 0x30;
        return this.major === 0x31 && byte <= 0x31 ? null : VERSION_FAULT;
      case 3:
        return byte === CR ? null : LINE_FAULT;
      default:
        return byte === LF ? null : LINE_FAULT;
    }
  }
}

function methodOf(bytes: Buffer, from: number, end: number): string | null {
  for (const { text, bytes: method } of BY_LENGTH[end - from] ?? []) {
    let i = 0;
    while (i < method.length && bytes[from + i] === method[i]) i += 1;
    if (i === method.length) return text;
  }
  return null;
}

const LINE_FAULT: Fault = { status: 400, detail: 'the request does not begin with a line like GET /path HTTP/1.1' };
const METHOD_FAULT: Fault = { status: 501, detail: 'the method of the request is not known' };
const TARGET_FAULT: Fault = {
  status: 400,
  detail: 'the request target must be a path that begins with /, all other characters percent-encoded',
};
const CONNECT_FAULT: Fault = { status: 501, detail: 'the gateway is no tunnel: CONNECT is not served' };
const VERSION_FAULT: Fault = { status: 505, detail: 'the version of the request must be HTTP/1.1 or HTTP/1.0' };
