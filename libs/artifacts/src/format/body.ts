import type { Op } from '#model';
import { FormatError, LIMITS } from './limits.js';

/*
 * body  = count:varint op*
 * op    = head:u8 keyLength:varint key [valueLength:varint value]
 * head  = table << 1 | (1 for put, 0 for delete)
 *
 * Ops stand in the order of (table, key) and name each entry once, so one set of changes has one encoding.
 */
const MAX_TABLE = 127;

/**
 * @param ops in any order, each entry at most once
 * @throws FormatError `malformed` or `too_large` for ops that no reader would accept
 */
export function encodeBody(ops: readonly Op[]): Buffer {
  const sorted = [...ops].sort(compareOps);
  if (sorted.length > LIMITS.ops)
    throw new FormatError('too_large', `${sorted.length} ops are more than ${LIMITS.ops}`);
  const parts: Buffer[] = [varint(sorted.length)];
  let previous: Op | undefined;
  for (const op of sorted) {
    checkOp(op, previous);
    parts.push(Buffer.of((op.table << 1) | (op.value === null ? 0 : 1)), varint(op.key.length), op.key);
    if (op.value !== null) parts.push(varint(op.value.length), op.value);
    previous = op;
  }
  const body = Buffer.concat(parts);
  if (body.length > LIMITS.bodyBytes)
    throw new FormatError('too_large', `a body of ${body.length} bytes is larger than ${LIMITS.bodyBytes}`);
  return body;
}

/**
 * Reads a body whose hash and length were checked before. Keys and values are views of `body`, not copies.
 *
 * @throws FormatError for anything that `encodeBody` would not have written
 */
export function decodeBody(body: Buffer): Op[] {
  const reader = new Reader(body);
  const count = reader.varint();
  // an op has at least three bytes: a count that cannot be true allocates nothing
  if (count > LIMITS.ops || count * 3 > body.length)
    throw new FormatError('too_large', `a count of ${count} ops does not fit a body of ${body.length} bytes`);
  const ops: Op[] = [];
  for (let i = 0; i < count; i++) {
    const head = reader.byte();
    const key = reader.bytes(reader.varint(), LIMITS.keyBytes);
    const value = (head & 1) === 1 ? reader.bytes(reader.varint(), LIMITS.valueBytes) : null;
    const op: Op = { table: head >> 1, key, value };
    checkOp(op, ops[i - 1]);
    ops.push(op);
  }
  if (!reader.done) throw new FormatError('malformed', 'bytes follow the last op');
  return ops;
}

/** Order of (table, key), as bytes. */
export function compareOps(a: Op, b: Op): number {
  return a.table - b.table || Buffer.compare(a.key, b.key);
}

function checkOp(op: Op, previous: Op | undefined): void {
  if (!Number.isInteger(op.table) || op.table < 1 || op.table > MAX_TABLE)
    throw new FormatError('malformed', `table ${op.table} is not from 1 to ${MAX_TABLE}`);
  if (op.key.length === 0) throw new FormatError('malformed', 'an op has an empty key');
  if (op.key.length > LIMITS.keyBytes)
    throw new FormatError('too_large', `a key of ${op.key.length} bytes is larger than ${LIMITS.keyBytes}`);
  if (op.value && op.value.length > LIMITS.valueBytes)
    throw new FormatError('too_large', `a value of ${op.value.length} bytes is larger than ${LIMITS.valueBytes}`);
  if (previous && compareOps(previous, op) >= 0)
    throw new FormatError('malformed', 'ops are out of order, or name an entry twice');
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

class Reader {
  private at = 0;

  constructor(private readonly buffer: Buffer) {}

  get done(): boolean {
    return this.at === this.buffer.length;
  }

  byte(): number {
    const value = this.buffer[this.at];
    if (value === undefined) throw new FormatError('truncated', 'the body ends inside an op');
    this.at += 1;
    return value;
  }

  /** LEB128, at most 28 bits, shortest form only. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if ((byte & 0x80) === 0) {
        if (byte === 0 && shift > 0) throw new FormatError('malformed', 'a length is not in its shortest form');
        return value;
      }
    }
    throw new FormatError('too_large', 'a length has more than 28 bits');
  }

  bytes(length: number, limit: number): Buffer {
    if (length > limit) throw new FormatError('too_large', `${length} bytes are more than ${limit}`);
    if (this.at + length > this.buffer.length) throw new FormatError('truncated', 'the body ends inside an op');
    const view = this.buffer.subarray(this.at, this.at + length);
    this.at += length;
    return view;
  }
}
