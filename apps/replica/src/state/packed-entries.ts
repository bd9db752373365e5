import { BodyReader, compareOps } from '#artifacts';
import type { Op } from '#model';

/*
 * Order of entries = (table, key). Its most significant part, table:u8 and five bytes of the key, is sorted as numbers:
 * as much of it as fits a float beside the entry's position. Entries that are alike in that are compared byte by byte.
 */
const PREFIX_KEY_BYTES = 5;
const PREFIX_BITS = 8 * (1 + PREFIX_KEY_BYTES);
const EXACT_BITS = 53;

/**
 * Changes of entries that stay in the bodies they came in, known by where they begin: as objects a million of them would
 * take ten times the memory of their bytes.
 */
export class PackedEntries {
  readonly #memory: Buffer;
  readonly #starts: number[] = [];

  /** @param memory where all bodies lie */
  constructor(memory: SharedArrayBuffer) {
    this.#memory = Buffer.from(memory);
  }

  /**
   * Adds what one body changes: all of it, or nothing.
   *
   * @param look is shown each change, as views of the memory
   * @throws FormatError, or what `look` throws
   */
  add(at: number, length: number, mostOps: number, look: (op: Op) => void): void {
    const before = this.#starts.length;
    try {
      const reader = new BodyReader(this.#memory.subarray(at, at + length), mostOps);
      for (let op = reader.next(); op; op = reader.next()) {
        look(op);
        this.#starts.push(op.key.byteOffset - (op.key.length < 0x80 ? 1 : 2) - 1);
      }
    } catch (error) {
      this.#starts.length = before;
      throw error;
    }
  }

  /** Where they begin, in the order of (table, key); those of one entry in the order they were added in. */
  sorted(): Uint32Array {
    const count = this.#starts.length;
    const places = 2 ** Math.ceil(Math.log2(Math.max(2, count)));
    const cut = 2 ** Math.max(0, PREFIX_BITS + Math.log2(places) - EXACT_BITS);
    const ranks = new Float64Array(count);
    for (let i = 0; i < count; i++) ranks[i] = Math.floor(this.#prefix(this.#starts[i] ?? 0) / cut) * places + i;
    ranks.sort();
    const sorted = new Uint32Array(count);
    for (let i = 0; i < count; i++) sorted[i] = this.#starts[(ranks[i] ?? 0) % places] ?? 0;
    for (let from = 0, to = 1; from < count; from = to++) {
      const prefix = Math.floor((ranks[from] ?? 0) / places);
      while (to < count && Math.floor((ranks[to] ?? 0) / places) === prefix) to += 1;
      if (to - from > 1) this.#sortAlike(sorted.subarray(from, to));
    }
    return sorted;
  }

  /** The change that begins there, as views of the memory. */
  at(start: number): Op {
    const memory = this.#memory;
    let at = start + 1;
    const length = (): number => {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = memory[at++] ?? 0;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
    };
    const keyLength = length();
    const key = memory.subarray(at, at + keyLength);
    at += keyLength;
    const head = memory[start] ?? 0;
    if ((head & 1) === 0) return { table: head >> 1, key, value: null };
    const valueLength = length();
    return { table: head >> 1, key, value: memory.subarray(at, at + valueLength) };
  }

  #prefix(start: number): number {
    const { table, key } = this.at(start);
    let prefix = table;
    for (let i = 0; i < PREFIX_KEY_BYTES; i++) prefix = prefix * 256 + (key[i] ?? 0);
    return prefix;
  }

  #sortAlike(starts: Uint32Array): void {
    starts.sort((one, other) => compareOps(this.at(one), this.at(other)));
  }
}
