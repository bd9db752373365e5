import type { Transaction } from 'lmdb';
import { BUCKETS, StateRoot } from '#artifacts';
import type { StateTables } from './state-database.js';

/** Entries between two looks at the clock: well below a millisecond. */
const STRIDE = 64;

/** Buckets whose entries do not add up to the sum that they should have. */
export function differingSums(content: StateRoot, sums: StateRoot): number[] {
  return Array.from({ length: BUCKETS }, (_, bucket) => bucket).filter(
    (bucket) => !content.sum(bucket).equals(sums.sum(bucket)),
  );
}

/**
 * Adds up the entries of one moment, a little at a time: the thread that writes has other things to do meanwhile. The
 * moment stays pinned as long as it takes, and with it the pages that newer revisions replace.
 */
export class Scrub {
  readonly #content = StateRoot.empty();
  readonly #transaction: Transaction;
  #next: Buffer | undefined;

  /** @param sums those of the state as it is now */
  constructor(
    private readonly tables: StateTables,
    private readonly sums: StateRoot,
  ) {
    tables.root.resetReadTxn();
    this.#transaction = tables.root.useReadTransaction();
  }

  /** @param now milliseconds @returns buckets that do not agree; null: there is more to be read */
  step(forMs: number, now: () => number): number[] | null {
    const end = now() + forMs;
    let count = 0;
    const range = this.#next === undefined ? {} : { start: this.#next };
    for (const { key, value } of this.tables.entries.getRange({ ...range, transaction: this.#transaction })) {
      if (++count % STRIDE === 0 && now() >= end) {
        this.#next = key;
        return null;
      }
      this.#content.change(key.readUInt8(0), key.subarray(1), null, value);
    }
    return differingSums(this.#content, this.sums);
  }

  close(): void {
    this.#transaction.done();
  }
}
