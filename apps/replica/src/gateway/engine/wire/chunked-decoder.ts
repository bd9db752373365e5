import { BOUNDS } from '../bounds.js';
import { COLON, CR, HEX, LF, TOKEN, VALUE } from './characters.js';

const SIZE = 0;
const SIZE_LF = 1;
const DATA = 2;
const DATA_CR = 3;
const DATA_LF = 4;
const TRAILER = 5;
const TRAILER_NAME = 6;
const TRAILER_VALUE = 7;
const TRAILER_LF = 8;
const LAST_LF = 9;
const DONE = 10;

/** Eight digits are 4 GiB; leading zeros count, so that nobody sends digits for ever. */
const SIZE_DIGITS = 8;

/**
 * Fields that say where a message ends, whose it is or what becomes of the connection. They cannot be trailers (RFC 9110,
 * 6.5.1), and servers that read trailers as they read heads, as node's does, go by them.
 */
const NOT_IN_TRAILERS = new Set(
  'connection content-length expect host keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(' '),
)
  .add('content_length')
  .add('transfer_encoding');

/** Longer than any of these is. */
const NAME_BYTES = 24;

/**
 * Finds the bytes of a body in its chunks (RFC 9112, 7.1), strictly: a size is hexadecimal digits and nothing else, so
 * chunk extensions are refused, which nobody needs and some servers read differently. Trailers are checked, bounded and
 * dropped; those that would frame a message are refused.
 */
export class ChunkedDecoder {
  /** a part of the body stands from `from` to `end` in what was read last; nothing if they are equal */
  from = 0;
  end = 0;
  faulty = false;
  private state = SIZE;
  private left = 0;
  private digits = 0;
  private trailerBytes = 0;
  /** of the trailer, as far as it matters */
  private name = '';

  get done(): boolean {
    return this.state === DONE;
  }

  reset(): void {
    this.faulty = false;
    this.state = SIZE;
    this.left = this.digits = this.trailerBytes = 0;
  }

  /** Reads up to the end of the next part, of the body, or of `bytes`. @returns where it stopped; at `faulty` is why */
  read(bytes: Buffer, start: number, end: number): number {
    this.from = this.end = start;
    let at = start;
    while (at < end) {
      if (this.state === DATA) {
        this.from = at;
        this.end = Math.min(end, at + this.left);
        this.left -= this.end - at;
        if (this.left === 0) this.state = DATA_CR;
        return this.end;
      }
      if (!this.step(bytes[at] as number)) {
        this.faulty = true;
        return at;
      }
      at += 1;
      if (this.state === DONE) break;
    }
    return at;
  }

  private step(byte: number): boolean {
    switch (this.state) {
      case SIZE:
        return this.size(byte);
      case SIZE_LF:
        this.state = this.left > 0 ? DATA : TRAILER;
        this.digits = 0;
        return byte === LF;
      case DATA_CR:
        this.state = DATA_LF;
        return byte === CR;
      case DATA_LF:
        this.state = SIZE;
        return byte === LF;
      default:
        this.trailerBytes += 1;
        return this.trailerBytes <= BOUNDS.headBytes && this.trailer(byte);
    }
  }

  private size(byte: number): boolean {
    const digit = HEX[byte] as number;
    if (digit === 255) {
      this.state = SIZE_LF;
      return byte === CR && this.digits > 0;
    }
    this.digits += 1;
    this.left = this.left * 16 + digit;
    return this.digits <= SIZE_DIGITS;
  }

  private trailer(byte: number): boolean {
    switch (this.state) {
      case TRAILER:
        this.state = byte === CR ? LAST_LF : TRAILER_NAME;
        this.name = String.fromCharCode(byte);
        return byte === CR || TOKEN[byte] === 1;
      case TRAILER_NAME:
        if (byte === COLON) {
          this.state = TRAILER_VALUE;
          return !NOT_IN_TRAILERS.has(this.name.toLowerCase());
        }
        if (this.name.length < NAME_BYTES) this.name += String.fromCharCode(byte);
        return TOKEN[byte] === 1;
      case TRAILER_VALUE:
        if (byte === CR) this.state = TRAILER_LF;
        return byte === CR || VALUE[byte] === 1;
      case TRAILER_LF:
        this.state = TRAILER;
        return byte === LF;
      default:
        this.state = DONE;
        return byte === LF;
    }
  }
}
