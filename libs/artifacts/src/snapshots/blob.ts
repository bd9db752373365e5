import { decodeBody, encodeBody } from '../format/body.js';
import { FormatError, LIMITS } from '../format/limits.js';

/** One thing that a chain says. */
export interface Entry {
  table: number;
  key: Buffer;
  value: Buffer;
}

/**
 * The content of one bucket: its entries as the puts of a body. The same entries give the same bytes, whenever and by
 * whomever they are written, so a bucket that did not change between two snapshots is in the store once.
 *
 * @param entries in any order
 * @throws FormatError `too_large` where no reader would accept it
 */
export function encodeBlob(entries: readonly Entry[]): Buffer {
  return encodeBody(entries, LIMITS.blobEntries);
}

/**
 * Entries as views of `bytes`, whose SHA-256 and length were compared with a verified manifest before.
 *
 * @throws FormatError
 */
export function decodeBlob(bytes: Buffer): Entry[] {
  return decodeBody(bytes, LIMITS.blobEntries).map(({ table, key, value }) => {
    if (value === null) throw new FormatError('malformed', 'a blob has the deletion of an entry');
    return { table, key, value };
  });
}
