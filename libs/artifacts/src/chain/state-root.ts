import { hash } from 'node:crypto';

/** Entries are spread over this many buckets by a hash of their name. Part of the format. */
export const BUCKETS = 1024;
const SUM_BYTES = 32;

/** Which bucket an entry belongs to. */
export function bucketOf(table: number, key: Buffer): number {
  return bucketOfName(nameDigest(table, key));
}

/** @param name its digest */
export function bucketOfName(name: string): number {
  return ((name.charCodeAt(0) << 8) | name.charCodeAt(1)) & (BUCKETS - 1);
}

/** What an entry is called: the SHA-256 of table and key, a character for each byte. */
export function nameDigest(table: number, key: Buffer): string {
  return hash('sha256', named(table, key), 'binary');
}

/** What one entry adds to its bucket: a hash of table, key and value, told apart by lengths; a character for each byte. */
export function entryDigest(table: number, key: Buffer, value: Buffer): string {
  return hash('sha256', Buffer.concat([named(table, key), value]), 'binary');
}

/** Of one entry at a time: millions are hashed, and Node takes four times as long to make a Buffer of each as a string. */
const digestBytes = Buffer.alloc(SUM_BYTES);

/** Valid until the next call. */
function bytesOf(digest: string): Buffer {
  digestBytes.write(digest, 'latin1');
  return digestBytes;
}

function named(table: number, key: Buffer): Buffer {
  const name = Buffer.allocUnsafe(3 + key.length);
  name.writeUInt8(table, 0);
  name.writeUInt16BE(key.length, 1);
  key.copy(name, 3);
  return name;
}

/**
 * A hash of a set of entries that a change updates in O(1): per bucket the sum, modulo 2^256, of its entries' hashes;
 * the root is the SHA-256 of all sums. It does not depend on the order of changes, only on what the set holds.
 */
export class StateRoot {
  private constructor(private readonly sums: Buffer) {}

  static empty(): StateRoot {
    return new StateRoot(Buffer.alloc(BUCKETS * SUM_BYTES));
  }

  clone(): StateRoot {
    return new StateRoot(Buffer.from(this.sums));
  }

  /**
   * One entry changes from `before` to `after`; null is absence.
   *
   * @returns the bucket that changed
   */
  change(table: number, key: Buffer, before: Buffer | null, after: Buffer | null): number {
    const bucket = bucketOf(table, key);
    this.exchange(bucket, before && entryDigest(table, key, before), after && entryDigest(table, key, after));
    return bucket;
  }

  /** As `change`, of an entry that is known by its digests alone. */
  exchange(bucket: number, before: string | null, after: string | null): void {
    const at = bucket * SUM_BYTES;
    if (before) addInto(this.sums, at, negated(bytesOf(before)));
    if (after) addInto(this.sums, at, bytesOf(after));
  }

  /** A copy of one bucket's sum, 32 bytes. */
  sum(bucket: number): Buffer {
    return Buffer.from(this.sums.subarray(bucket * SUM_BYTES, (bucket + 1) * SUM_BYTES));
  }

  /** Puts back a sum that was kept somewhere. */
  load(bucket: number, sum: Uint8Array): void {
    if (bucket < 0 || bucket >= BUCKETS || sum.length !== SUM_BYTES)
      throw new RangeError(`bucket ${bucket} with ${sum.length} bytes`);
    this.sums.set(sum, bucket * SUM_BYTES);
  }

  /** 32 bytes. */
  root(): Buffer {
    return hash('sha256', this.sums, 'buffer');
  }
}

/** target += value, both 256-bit big-endian; the carry out of the top is dropped. */
function addInto(target: Buffer, at: number, value: Buffer): void {
  let carry = 0;
  for (let word = SUM_BYTES - 4; word >= 0; word -= 4) {
    const sum = target.readUInt32BE(at + word) + value.readUInt32BE(word) + carry;
    target.writeUInt32BE(sum >>> 0, at + word);
    carry = sum > 0xffff_ffff ? 1 : 0;
  }
}

/** Two's complement: adding it takes the value away. */
function negated(value: Buffer): Buffer {
  const out = Buffer.allocUnsafe(SUM_BYTES);
  let carry = 1;
  for (let i = SUM_BYTES - 1; i >= 0; i--) {
    const byte = (~(value[i] ?? 0) & 0xff) + carry;
    out[i] = byte & 0xff;
    carry = byte >> 8;
  }
  return out;
}
