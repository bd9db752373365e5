import { HOST } from './characters.js';
import { FIELD } from './field-names.js';
import type { Fault } from './head-parser.js';
import type { RequestParser } from './request-parser.js';

/** Length of a body that comes in chunks. */
export const CHUNKED = -1;

const CLOSE = /(?:^|[,\s])close(?:[,\s]|$)/i;
const DECIMAL = /^[0-9]{1,15}$/;

/** What the fields of a request say about its framing and its connection. One for all requests of a connection. */
export class RequestFraming {
  /** of the body, in bytes; CHUNKED; 0: there is none */
  length = 0;
  /** the length was said, and was not left out */
  lengthGiven = false;
  /** the client wants no further request on this connection to be answered */
  close = false;
  /** the client sends its body when it is told to */
  expectsContinue = false;
  /** the client offers to speak WebSocket */
  upgrade = false;
  /** the value of Host; empty if there was none */
  host = '';
  /** Connection names more than the connection's own options */
  namesFields = false;
  private hosts = 0;
  private lengths = 0;
  private codings = 0;
  private connectionUpgrade = false;
  private protocol = '';

  /** @returns what is wrong with a head that the parser let through; null when nothing is */
  read(head: RequestParser): Fault | null {
    this.length = 0;
    this.close = head.old;
    this.expectsContinue = this.upgrade = this.connectionUpgrade = this.namesFields = false;
    this.host = this.protocol = '';
    this.hosts = this.lengths = this.codings = 0;
    for (let i = 0; i < head.count; i++) {
      const kind = head.kinds[i] as number;
      const fault = kind === FIELD.other ? null : this.readField(head, i, kind);
      if (fault) return fault;
    }
    return this.conclude(head);
  }

  private readField(head: RequestParser, index: number, kind: number): Fault | null {
    switch (kind) {
      case FIELD.host:
        this.hosts += 1;
        this.host = head.value(index);
        return isHost(this.host) ? null : HOST_FAULT;
      case FIELD.contentLength: {
        const text = head.value(index);
        this.lengths += 1;
        this.length = Number(text);
        if (head.endsInTab(index)) return TAB_FAULT;
        return DECIMAL.test(text) ? null : LENGTH_FAULT;
      }
      case FIELD.transferEncoding:
        this.codings += 1;
        if (head.endsInTab(index)) return TAB_FAULT;
        return this.readCoding(head.value(index).toLowerCase());
      case FIELD.connection:
        this.readConnection(head.value(index).toLowerCase());
        return null;
      case FIELD.proxyConnection:
        // old clients say it to whatever they take for a proxy, and node's parser goes by it
        if (CLOSE.test(head.value(index))) this.close = true;
        return null;
      case FIELD.expect:
        this.expectsContinue = !head.old && head.value(index).toLowerCase() === '100-continue';
        return null;
      case FIELD.upgrade:
        this.protocol = this.protocol === '' ? head.value(index).toLowerCase() : 'several';
        return null;
      case FIELD.underscored:
        return UNDERSCORE_FAULT;
      default:
        return null;
    }
  }

  private readCoding(coding: string): Fault | null {
    if (this.codings > 1) return CODING_TWICE;
    if (coding === 'chunked') return null;
    // chunked that is not the last one leaves no way to find the end of the body (RFC 9112, 6.3)
    const codings = coding.split(',').map((one) => one.trim());
    return codings.slice(0, -1).includes('chunked') ? CODING_TWICE : CODING_FAULT;
  }

  private readConnection(options: string): void {
    if (options === 'keep-alive' || options === '') return;
    if (options === 'close') {
      this.close = true;
      return;
    }
    for (const option of options.split(',')) {
      const name = option.trim();
      if (name === 'close') this.close = true;
      else if (name === 'upgrade') this.connectionUpgrade = true;
      else if (name !== 'keep-alive' && name !== '') this.namesFields = true;
    }
  }

  private conclude(head: RequestParser): Fault | null {
    if (this.hosts > 1 || (this.hosts === 0 && !head.old)) return HOSTS_FAULT;
    if (this.lengths > 1) return LENGTHS_FAULT;
    if (this.codings > 0) {
      if (this.lengths > 0) return BOTH_FAULT;
      if (head.old) return OLD_CHUNKED;
      this.length = CHUNKED;
    }
    this.lengthGiven = this.lengths > 0;
    if (this.length === 0) this.expectsContinue = false;
    // h2c is an offer that may be passed over (RFC 9110, 7.8), and Java's client makes it with every request
    if (this.protocol === '' || this.protocol === 'h2c') return null;
    if (this.protocol !== 'websocket') return UPGRADE_FAULT;
    // without the option it is nothing that this connection is asked for
    if (!this.connectionUpgrade || head.old) return null;
    if (head.method !== 'GET' || this.length !== 0) return WEBSOCKET_FAULT;
    this.upgrade = true;
    return null;
  }
}

function isHost(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!HOST[text.charCodeAt(i)]) return false;
  return true;
}

const fault = (detail: string, status = 400): Fault => ({ status, detail });
const HOST_FAULT = fault('the Host field is no host and port');
const HOSTS_FAULT = fault('the request must have exactly one Host field');
const LENGTH_FAULT = fault('Content-Length must be one number of at most 15 decimal digits');
const LENGTHS_FAULT = fault('there are several Content-Length fields');
// allowed (RFC 9110, 5.6.3), and no number and no coding to node's parser
const TAB_FAULT = fault('a tab stands behind the value of Content-Length or Transfer-Encoding');
const BOTH_FAULT = fault('Content-Length and Transfer-Encoding are both there');
const CODING_TWICE = fault('Transfer-Encoding must say chunked once, and say it last');
const CODING_FAULT = fault('the only transfer coding that is served is chunked', 501);
const OLD_CHUNKED = fault('a request of HTTP/1.0 cannot have a Transfer-Encoding');
const UNDERSCORE_FAULT = fault(
  'Content_Length and Transfer_Encoding are taken for fields that frame the message by some servers',
);
const UPGRADE_FAULT = fault('the only upgrade that is served is to WebSocket');
const WEBSOCKET_FAULT = fault('an upgrade to WebSocket must be a GET without a body');
