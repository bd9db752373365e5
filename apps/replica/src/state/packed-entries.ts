import { BodyReader, FormatError, LIMITS } from '#artifacts';
import type { Entry } from '#artifacts';

/*
 * Order of entries = (table, key). Its most significant part, table:u8 and five bytes of the key, is sorted as numbers:
 * as much of it as fits a float beside the entry's position. Entries that are alike in that are compared byte by byte.
 */
const PREFIX_KEY_BYTES = 5;
const PREFIX_BITS = 8 * (1 + PREFIX_KEY_BYTES);
const EXACT_BITS = 53;

/**
 * Entries that stay in the bodies they came in, known by where they begin: as objects a million of them would take ten
 * times the memory of their bytes.
 */
export class PackedEntries {
  readonly #memory: Buffer;
  readonly #starts: number[] = [];

  /** @param memory where all bodies lie */
  constructor(memory: SharedArrayBuffer) {
    this.#memory = Buffer.from(memory);
  }

  /**
   * Adds what one body puts.
   *
   * @param look is shown each entry, as views of the memory
   * @throws FormatError
   */
  add(at: number, length: number, look: (entry: Entry) => void): void {
    const reader = new BodyReader(this.#memory.subarray(at, at + length), LIMITS.blobEntries);
    for (let op = reader.next(); op; op = reader.next()) {
      const { table, key, value } = op;
      if (value === null) throw new FormatError('malformed', 'a blob has the deletion of an entry');
      look({ table, key, value });
      this.#starts.push(key.byteOffset - (key.length < 0x80 ? 1 : 2) - 1);
    }
  }

  /** Where the entries begin, in the order of (table, key). */
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

  /** The entry that begins there, as views of the memory. */
  at(start: number): Entry {
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
    const valueLength = length();
    return { table: (memory[start] ?? 0) >> 1, key, value: memory.subarray(at, at + valueLength) };
  }

  #prefix(start: number): number {
    const { table, key } = this.at(start);
    let prefix = table;
    for (let i = 0; i < PREFIX_KEY_BYTES; i++) prefix = prefix * 256 + (key[i] ?? 0);
    return prefix;
  }

  #sortAlike(starts: Uint32Array): void {
    starts.sort((one, other) => {
      const a = this.at(one);
      const b = this.at(other);
      return a.table - b.table || Buffer.compare(a.key, b.key);
    });
  }
}
