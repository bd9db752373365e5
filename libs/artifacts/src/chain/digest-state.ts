import type { Op } from '#model';
import { bucketOfName, entryDigest, nameDigest, StateRoot } from './state-root.js';

/**
 * A state as far as its root needs it: two digests of each entry and none of its content, about 130 bytes of memory an entry,
 * whatever the entries hold. For who proves a chain and does not serve it.
 */
export class DigestState {
  private readonly entries = new Map<string, string>();
  private readonly sums = StateRoot.empty();

  get size(): number {
    return this.entries.size;
  }

  /** 32 bytes. */
  root(): Buffer {
    return this.sums.root();
  }

  /** 32 bytes of one bucket. */
  sum(bucket: number): Buffer {
    return this.sums.sum(bucket);
  }

  apply(ops: Iterable<Op>): void {
    for (const op of ops) {
      const { name, after } = this.exchanged(this.sums, op);
      if (after === null) this.entries.delete(name);
      else this.entries.set(name, after);
    }
  }

  /** The root that the state would have after changes of different entries. It stays as it is. */
  rootAfter(ops: Iterable<Op>): Buffer {
    const sums = this.sums.clone();
    for (const op of ops) this.exchanged(sums, op);
    return sums.root();
  }

  private exchanged(sums: StateRoot, { table, key, value }: Op): { name: string; after: string | null } {
    const name = nameDigest(table, key);
    const after = value && entryDigest(table, key, value);
    sums.exchange(bucketOfName(name), this.entries.get(name) ?? null, after);
    return { name, after };
  }
}
