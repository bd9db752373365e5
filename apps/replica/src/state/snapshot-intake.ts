import { hash } from 'node:crypto';
import { bucketOf, FormatError, type StateRoot } from '#artifacts';
import { type Op, TABLE } from '#model';
import { type EntryFault, faultOfEntry } from './entry-fault.js';
import { PackedEntries } from './packed-entries.js';
import type { SnapshotPlan } from './snapshot-plan.js';
import { isEmpty, type StateTables } from './state-database.js';
import { entryName } from './state-layout.js';

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

/** Takes the blobs of a snapshot in as they come, proves each against its sum, and finds what they change. */
export class SnapshotIntake {
  readonly entries: PackedEntries;
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
    this.entries.add(expected.at, expected.bytes, ({ table, key, value }) => {
      if (empty.change(table, key, null, value) !== bucket)
        throw new FormatError('malformed', `the blob of bucket ${bucket} has an entry of another bucket`);
    });
    if (!empty.sum(bucket).equals(expected.sum))
      throw new FormatError('wrong_root', `the entries of bucket ${bucket} do not add up to its sum`);
    this.#missing.delete(bucket);
  }

  /**
   * @param root before; the sums of replaced buckets are put into it
   * @throws FormatError `wrong_root` when the state would not be the one that was signed
   */
  prove(root: StateRoot): void {
    if (this.#missing.size > 0) throw new Error(`${this.#missing.size} blobs of the snapshot have not come`);
    for (const { bucket, sum } of this.plan.buckets) root.load(bucket, sum);
    const { revision, root: expected } = this.plan.target;
    if (root.root().equals(expected)) return;
    throw new FormatError('wrong_root', `with its replaced buckets the state is not the one of revision ${revision}`);
  }

  /** @param held names of what is served differently from what the chain says */
  difference(tables: StateTables, held: ReadonlySet<string>): Difference {
    const sorted = this.entries.sorted();
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
        if (this.entries.at(sorted[next] ?? 0).value.equals(value)) name = this.#nameAt(sorted[++next]);
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
    const fault = faultOfEntry(entry.table, entry.key, entry.value);
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
