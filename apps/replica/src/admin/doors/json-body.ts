import { isUtf8 } from 'node:buffer';
import { fail } from '#model';
import type { RequestHead } from '../../gateway/decide/request-head.js';

/** A list of a thousand questions has room in it. */
const MAX_BYTES = 1024 * 1024;
const JSON_TYPE = /^application\/json\s*(?:;|$)/i;

/** A body that is JSON, as it comes: no more of it is kept than has come. */
export class JsonBody {
  private bytes: Buffer;
  private size = 0;

  /**
   * @param length that was announced; below 0: it comes in chunks
   * @throws HelioError for what need not be read
   */
  constructor(head: RequestHead, length: number) {
    const types = head.values('content-type');
    if (types.length !== 1 || !JSON_TYPE.test(types[0] as string))
      throw fail('unsupported_media_type', 'the Content-Type must be application/json');
    if (length === 0) throw fail('malformed_json', 'the body is empty');
    if (length > MAX_BYTES) throw tooLarge();
    this.bytes = Buffer.allocUnsafe(Math.min(Math.max(length, 0), 4096));
  }

  /** @throws HelioError body_too_large */
  take(piece: Buffer, from: number, end: number): void {
    const size = this.size + end - from;
    if (size > MAX_BYTES) throw tooLarge();
    if (size > this.bytes.length) {
      const grown = Buffer.allocUnsafe(Math.min(MAX_BYTES, 2 * size));
      this.bytes.copy(grown, 0, 0, this.size);
      this.bytes = grown;
    }
    piece.copy(this.bytes, this.size, from, end);
    this.size = size;
  }

  /** @throws HelioError malformed_json */
  parse(): unknown {
    const bytes = this.bytes.subarray(0, this.size);
    if (!isUtf8(bytes)) throw fail('malformed_json', 'the body is not UTF-8');
    try {
      return JSON.parse(bytes.toString('utf8'));
    } catch (error) {
      throw fail('malformed_json', (error as Error).message);
    }
  }
}

function tooLarge(): Error {
  return fail('body_too_large', `the body may have ${MAX_BYTES} bytes at most`);
}
