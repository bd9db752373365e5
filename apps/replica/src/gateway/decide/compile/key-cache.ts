import { KEY_ID_BYTES } from '#model';

const WAYS = 4;
const WORDS = KEY_ID_BYTES / 4;

/**
 * The keys that were asked for last. Those of a worker are asked for in no order, so that what a look costs is how many lines of
 * memory it touches: the ids of a set stand in one of 64 bytes, where a Map has five. The fifth key of a set takes the
 * place of the first.
 */
export class KeyCache<V> {
  private readonly ids: Int32Array;
  /** undefined: no key has this place; null: there is no such key */
  private readonly records: (V | null | undefined)[];
  private readonly next: Uint8Array;
  private readonly lastSet: number;

  /** @param sets of four keys; a power of two */
  constructor(sets: number) {
    this.ids = new Int32Array(sets * WAYS * WORDS);
    this.records = Array.from({ length: sets * WAYS }, () => undefined);
    this.next = new Uint8Array(sets);
    this.lastSet = sets - 1;
  }

  /** @param id one character per byte; what follows the bytes of an id does not matter */
  get(id: string): V | null | undefined {
    const place = this.placeOf(id);
    return place < 0 ? undefined : this.records[place];
  }

  set(id: string, record: V | null): void {
    let place = this.placeOf(id);
    if (place < 0) {
      const set = this.setOf(id);
      const way = this.next[set] as number;
      this.next[set] = (way + 1) % WAYS;
      place = set * WAYS + way;
      for (let i = 0; i < WORDS; i++) this.ids[place * WORDS + i] = word(id, i);
    }
    this.records[place] = record;
  }

  delete(id: string): void {
    const place = this.placeOf(id);
    if (place >= 0) this.records[place] = undefined;
  }

  clear(): void {
    this.records.fill(undefined);
  }

  private setOf(id: string): number {
    return word(id, 0) & this.lastSet;
  }

  private placeOf(id: string): number {
    const { ids } = this;
    const first = word(id, 0);
    const begin = (first & this.lastSet) * WAYS;
    for (let place = begin; place < begin + WAYS; place++) {
      if (ids[place * WORDS] === first && this.isAt(id, place)) return place;
    }
    return -1;
  }

  private isAt(id: string, place: number): boolean {
    for (let i = 1; i < WORDS; i++) if (this.ids[place * WORDS + i] !== word(id, i)) return false;
    return true;
  }
}

/** Ids are parts of hashes: any of their bytes are as good as others to spread them. */
function word(id: string, index: number): number {
  const at = index * 4;
  return (
    id.charCodeAt(at) | (id.charCodeAt(at + 1) << 8) | (id.charCodeAt(at + 2) << 16) | (id.charCodeAt(at + 3) << 24)
  );
}
