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
/** bytes: lengths and counts have at most 28 bits */
const MAX_VARINT = 4;

/**
 * @param ops in any order, each entry at most once
 * @param mostOps how many a reader takes
 * @throws FormatError `malformed` or `too_large` for ops that no reader would accept
 */
export function encodeBody(ops: readonly Op[], mostOps: number = LIMITS.ops): Buffer {
  const sorted = [...ops].sort(compareOps);
  const writer = new BodyWriter(mostOps);
  for (const op of sorted) writer.add(op);
  return writer.finish();
}

/**
 * Reads a body whose hash and length were checked before. Keys and values are views of `body`, not copies.
 *
 * @throws FormatError for anything that `encodeBody` would not have written
 */
export function decodeBody(body: Buffer, mostOps: number = LIMITS.ops): Op[] {
  const reader = new BodyReader(body, mostOps);
  const ops: Op[] = [];
  for (let op = reader.next(); op; op = reader.next()) ops.push(op);
  return ops;
}

/** A body as it grows, for content that is too much to be held as ops, or to be encoded without a pause. */
export class BodyWriter {
  private bytes = Buffer.allocUnsafe(4096);
  /** room for a count in front; where the count is shorter, the body begins later */
  private at = MAX_VARINT;
  private count = 0;
  private previous: Op | undefined;

  constructor(
    private readonly mostOps: number = LIMITS.ops,
    private readonly mostBytes: number = LIMITS.bodyBytes,
  ) {}

  get length(): number {
    return this.at - MAX_VARINT + varintLength(this.count);
  }

  /** @param op after the one before, in the order of (table, key) @throws FormatError and is of no use any more */
  add(op: Op): void {
    if (this.count === this.mostOps) throw new FormatError('too_large', `there are more than ${this.mostOps} ops`);
    checkOp(op, this.previous);
    this.previous = op;
    this.count += 1;
    const { key, value } = op;
    this.reserve(1 + 2 * MAX_VARINT + key.length + (value?.length ?? 0));
    this.bytes[this.at++] = (op.table << 1) | (value === null ? 0 : 1);
    this.put(key);
    if (value !== null) this.put(value);
    if (this.length > this.mostBytes)
      throw new FormatError('too_large', `the body is larger than ${this.mostBytes} bytes`);
  }

  /** The body, once: the writer is of no use any more. */
  finish(): Buffer {
    const start = MAX_VARINT - varintLength(this.count);
    writeVarint(this.bytes, start, this.count);
    return this.bytes.subarray(start, this.at);
  }

  private put(field: Buffer): void {
    this.at = writeVarint(this.bytes, this.at, field.length);
    field.copy(this.bytes, this.at);
    this.at += field.length;
  }

  private reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + more));
    this.bytes.copy(grown, 0, 0, this.at);
    this.bytes = grown;
  }
}

/** The ops of a body one by one; `decodeBody` says what is checked, and when. */
export class BodyReader {
  /** how many ops there are to come */
  left: number;
  private readonly reader: Reader;
  private previous: Op | undefined;

  constructor(body: Buffer, mostOps: number = LIMITS.ops) {
    this.reader = new Reader(body);
    this.left = this.reader.varint();
    // an op has at least three bytes: a count that cannot be true allocates nothing
    if (this.left > mostOps || this.left * 3 > body.length)
      throw new FormatError('too_large', `a count of ${this.left} ops does not fit a body of ${body.length} bytes`);
  }

  /** @returns undefined at the end @throws FormatError */
  next(): Op | undefined {
    if (this.left === 0) {
      if (!this.reader.done) throw new FormatError('malformed', 'bytes follow the last op');
      return undefined;
    }
    this.left -= 1;
    const head = this.reader.byte();
    const key = this.reader.bytes(this.reader.varint(), LIMITS.keyBytes);
    const value = (head & 1) === 1 ? this.reader.bytes(this.reader.varint(), LIMITS.valueBytes) : null;
    const op: Op = { table: head >> 1, key, value };
    checkOp(op, this.previous);
    this.previous = op;
    return op;
  }
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

function varintLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : MAX_VARINT;
}

/** @returns where the next byte goes */
function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
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
