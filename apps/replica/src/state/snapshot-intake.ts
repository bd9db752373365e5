import { hash } from 'node:crypto';
import { bucketOf, compareOps, FormatError, LIMITS, type StateRoot } from '#artifacts';
import { type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { type EntryFault, faultOfEntry } from './entry-fault.js';
import { PackedEntries } from './packed-entries.js';
import type { SnapshotPlan } from './snapshot-plan.js';
import { isEmpty, type StateTables } from './state-database.js';
import { entryName } from './state-layout.js';
import type { Target } from './state-transaction.js';

/** What has to be written so that the replaced buckets hold what their blobs say. */
export interface Difference {
  /** where entries begin that are new or differ, in the order of names */
  puts: number[];
  deletes: Buffer[];
  /** of these, all that others may depend on or that cannot be used */
  noted: Op[];
  faults: Map<Op, EntryFault>;
  /** nothing was there before: what is put comes in the order of names, and pages can be filled to the brim */
  append: boolean;
}

/** What is to be in the state: where its entries begin, in the order of names. */
export interface Content {
  target: Target;
  root: StateRoot;
  /** whose sums changed */
  buckets: Set<number>;
  starts: Uint32Array;
}

/**
 * Takes the blobs of a snapshot in as they come, proves each against its sum, and finds what they change. On an empty
 * disk it takes what changed after the snapshot as well: written by itself that would write nearly every page once more,
 * of a file that never gets smaller.
 */
export class SnapshotIntake {
  readonly entries: PackedEntries;
  /** which revision the later changes lead to */
  #later: Target | null = null;
  readonly #buckets: ReadonlyMap<number, SnapshotPlan['buckets'][number]>;
  readonly #missing: Set<number>;

  constructor(readonly plan: SnapshotPlan) {
    this.entries = new PackedEntries(plan.memory);
    this.#buckets = new Map(plan.buckets.map((bucket) => [bucket.bucket, bucket]));
    this.#missing = new Set(plan.buckets.filter(({ bytes }) => bytes > 0).map(({ bucket }) => bucket));
  }

  /** @throws FormatError for a blob whose entries are not those of the bucket, or do not add up to its sum */
  add(bucket: number, empty: StateRoot): void {
    const expected = this.#buckets.get(bucket);
    if (!expected) throw new Error(`bucket ${bucket} is not one of those that are replaced`);
    // before anything of it is read
    if (!hash('sha256', Buffer.from(this.plan.memory, expected.at, expected.bytes), 'buffer').equals(expected.sha256))
      throw new FormatError('bad_hash', `the blob of bucket ${bucket} does not have the hash that the snapshot says`);
    this.entries.add(expected.at, expected.bytes, LIMITS.blobEntries, ({ table, key, value }) => {
      if (value === null) throw new FormatError('malformed', 'a blob has the deletion of an entry');
      if (empty.change(table, key, null, value) !== bucket)
        throw new FormatError('malformed', `the blob of bucket ${bucket} has an entry of another bucket`);
    });
    if (!empty.sum(bucket).equals(expected.sum))
      throw new FormatError('wrong_root', `the entries of bucket ${bucket} do not add up to its sum`);
    this.#missing.delete(bucket);
  }

  /**
   * Takes what changed from the snapshot, or what was added here last, up to `target`. For an empty disk only: what is in
   * no blob has to be nowhere.
   *
   * @returns the trusted keys when they are among the changes, null for their deletion
   * @throws FormatError; then they count as not added
   */
  addLater(at: number, bytes: number, mostOps: number, target: Target): Buffer | null | undefined {
    if (this.#missing.size > 0) throw new Error(`${this.#missing.size} blobs of the snapshot have not come`);
    let named: Buffer | null | undefined;
    this.entries.add(at, bytes, mostOps, ({ table, key, value }) => {
      if (table === TABLE.setting && key.equals(TRUSTED_KEYS_SETTING)) named = value && Buffer.from(value);
    });
    this.#later = target;
    return named;
  }

  /**
   * @param before the root of the state
   * @throws FormatError `wrong_root` when the state would not be the one that was signed
   */
  content(before: StateRoot): Content {
    if (this.#missing.size > 0) throw new Error(`${this.#missing.size} blobs of the snapshot have not come`);
    const root = before.clone();
    for (const { bucket, sum } of this.plan.buckets) root.load(bucket, sum);
    const { target } = this.plan;
    if (!root.root().equals(target.root))
      throw new FormatError(
        'wrong_root',
        `with its replaced buckets the state is not the one of revision ${target.revision}`,
      );
    const starts = this.entries.sorted();
    const buckets = new Set(this.#buckets.keys());
    const later = this.#later && this.#withLater(this.#later, root, buckets, starts);
    if (!later && target.revision === 0)
      throw new FormatError('wrong_root', 'no changes came that lead from an empty state to one that was signed');
    // Wrong changes are told when they come by themselves: the snapshot is right.
    return later ?? { target, root, buckets, starts: starts.filter((start) => !this.#isLater(start)) };
  }

  /** @returns null when the state would not be the one that was signed */
  #withLater(target: Target, proven: StateRoot, replaced: ReadonlySet<number>, sorted: Uint32Array): Content | null {
    const root = proven.clone();
    const buckets = new Set(replaced);
    const starts = new Uint32Array(sorted.length);
    let count = 0;
    for (let at = 0, next = 1; at < sorted.length; at = next++) {
      const first = sorted[at] ?? 0;
      // What changes an entry comes after it, and so does what changes that again.
      while (next < sorted.length && this.#changes(sorted[next] ?? 0, first)) next += 1;
      const last = sorted[next - 1] ?? 0;
      if (this.#isLater(last)) {
        const { table, key, value } = this.entries.at(last);
        buckets.add(root.change(table, key, this.#isLater(first) ? null : this.entries.at(first).value, value));
        if (value === null) continue;
      }
      starts[count++] = last;
    }
    return root.root().equals(target.root) ? { target, root, buckets, starts: starts.subarray(0, count) } : null;
  }

  #isLater(start: number): boolean {
    return start >= this.plan.end;
  }

  #changes(start: number, other: number): boolean {
    return this.#isLater(start) && compareOps(this.entries.at(start), this.entries.at(other)) === 0;
  }

  /** @param sorted of the content @param held names of what is served differently from what the chain says */
  difference(sorted: Uint32Array, tables: StateTables, held: ReadonlySet<string>): Difference {
    const found: Difference = { puts: [], deletes: [], noted: [], faults: new Map(), append: isEmpty(tables.entries) };
    let next = 0;
    let name = this.#nameAt(sorted[next]);
    const put = (): void => {
      this.#notePut(sorted[next] ?? 0, found, held);
      name = this.#nameAt(sorted[++next]);
    };
    for (const { key: there, value } of tables.entries.getRange({})) {
      let order = name ? Buffer.compare(name, there) : 1;
      while (name && order < 0) {
        put();
        order = name ? Buffer.compare(name, there) : 1;
      }
      const key = there.subarray(1);
      const table = there.readUInt8(0);
      if (order === 0) {
        if (this.entries.at(sorted[next] ?? 0).value?.equals(value)) name = this.#nameAt(sorted[++next]);
        else put();
      } else if (this.#buckets.has(bucketOf(table, key))) {
        found.deletes.push(there);
        if (isNoted(table, there, held)) found.noted.push({ table, key, value: null });
      }
    }
    while (name) put();
    return found;
  }

  #notePut(start: number, found: Difference, held: ReadonlySet<string>): void {
    found.puts.push(start);
    const entry = this.entries.at(start);
    const fault = entry.value && faultOfEntry(entry.table, entry.key, entry.value);
    if (fault) found.faults.set(entry, fault);
    if (fault || isNoted(entry.table, entryName(entry.table, entry.key), held)) found.noted.push(entry);
  }

  #nameAt(start: number | undefined): Buffer | null {
    if (start === undefined) return null;
    const { table, key } = this.entries.at(start);
    return entryName(table, key);
  }
}

/** Whether what is held back depends on this change: see `judgeHeld`. */
export function isNoted(table: number, name: Buffer, held: ReadonlySet<string>): boolean {
  if (table === TABLE.release || table === TABLE.placement) return true;
  return held.size > 0 && held.has(name.toString('latin1'));
}
