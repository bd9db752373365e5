import { FormatError, LIMITS, StateRoot } from '#artifacts';
import { type Op, TABLE } from '#model';
import { type EntryFault, faultOfEntry } from './entry-fault.js';
import { judgeHeld } from './quarantine.js';
import { differingSums, Scrub } from './scrub.js';
import { isNoted, SnapshotIntake } from './snapshot-intake.js';
import type { SnapshotPlan } from './snapshot-plan.js';
import { openTables, readPosition, type StateTables } from './state-database.js';
import { entryName, LISTED, META, type StoredPosition } from './state-layout.js';
import { loadRoot } from './state-opening.js';
import { storedView } from './stored-view.js';
import { inTransaction, type StateChange, type Target, writeChange } from './state-transaction.js';
import { buffer, namesIn, opsIn, revisionsIn, type SignedRevision } from './written-bytes.js';

/** What came of a write. */
export interface Written {
  /** whole ones; 1 also for a jump over several */
  revisions: number;
  /** changes that they had */
  ops: number;
  /** whether there may be one of a setting among them */
  settings: boolean;
  /** whether something is served differently from what the chain says that was not before, or not any more */
  held: boolean;
  /** where the state stands now */
  position: StoredPosition;
}

/** What is known of a change before it is written. */
interface Prepared {
  ops: number;
  settings: boolean;
  root: StateRoot;
  /** whose sums changed */
  buckets: Set<number>;
  noted: Op[];
  faults: Map<Op, EntryFault>;
}

type Outcome = Pick<Written, 'ops' | 'settings' | 'held'>;

/** Asks the system about every process that reads: not for each revision. */
const READERS_MS = 1000;

/**
 * Everything that is ever written to an opened state, in a thread of its own: a large transaction takes seconds and a
 * disk takes its time, while the process hands out tokens and answers. The thread has the same LMDB environment open.
 */
export class StateWriter {
  readonly #tables: StateTables;
  #position: StoredPosition;
  #root: StateRoot;
  #intake: SnapshotIntake | null = null;
  #scrub: Scrub | null = null;
  #readersAt = Number.NEGATIVE_INFINITY;

  constructor(directory: string) {
    this.#tables = openTables(directory, false);
    this.#position = readPosition(this.#tables);
    this.#root = loadRoot(this.#tables);
  }

  /**
   * Revisions that follow each other, in one transaction: up to one that is not as it should be, that changes a setting,
   * which decides who is believed after it, or with which there are many changes.
   *
   * @param bytes of all, one after the other @param hashes of them, likewise
   * @throws FormatError of the first revision, Error of the disk: nothing has changed then
   */
  applyRevisions(bytes: Uint8Array, hashes: Uint8Array, appliedAt: number): Written {
    const revisions = revisionsIn(buffer(bytes), buffer(hashes));
    this.#forgetDeadReaders();
    try {
      return this.#together(revisions, appliedAt);
    } catch (error) {
      if (error instanceof FormatError || revisions.length === 1) throw error;
      // A disk that has no room for all of them may have some for the first: a revocation must not wait for the others.
      return this.#together(revisions.slice(0, 1), appliedAt);
    }
  }

  /** The last changes of many revisions at once, up to the one in `target`. */
  applyRange(body: Uint8Array, target: Target, appliedAt: number): Written {
    this.#forgetDeadReaders();
    return this.#commit(() => this.#write(buffer(body), LIMITS.segmentOps, target, null, appliedAt));
  }

  beginSnapshot(plan: SnapshotPlan): void {
    this.#intake = new SnapshotIntake(plan);
  }

  /** Its blob has come. @throws FormatError */
  addBucket(bucket: number): void {
    this.#taken().add(bucket, StateRoot.empty());
  }

  /** Of an empty disk: what changed after the snapshot; see `SnapshotIntake`. @throws FormatError */
  addLater(at: number, bytes: number, mostOps: number, target: Target): Uint8Array | null | undefined {
    return this.#taken().addLater(at, bytes, mostOps, target);
  }

  commitSnapshot(appliedAt: number): Written {
    const intake = this.#taken();
    this.#intake = null;
    const { entries: table } = this.#tables;
    const { buckets, root, starts, target } = intake.content(this.#root);
    this.#forgetDeadReaders();
    this.#tables.root.resetReadTxn();
    const { append, deletes, faults, noted, puts } = intake.difference(starts, this.#tables, this.#heldNames());
    const entries = (): void => {
      for (const name of deletes) table.removeSync(name);
      for (const start of puts) {
        const { table: number, key, value } = intake.entries.at(start);
        // a copy: lmdb does not take values that lie in shared memory
        if (value) table.putSync(entryName(number, key), Buffer.from(value), append ? APPEND : {});
      }
    };
    const held = judgeHeld(storedView(this.#tables), noted, faults, target.revision);
    return this.#commit(() => {
      this.#put({ target, entries, held, names: new Set(), root, buckets, delta: null }, appliedAt);
      return { ops: puts.length + deletes.length, settings: true, held: held.length > 0 };
    });
  }

  abandonSnapshot(): void {
    this.#intake = null;
  }

  /** Buckets whose entries do not add up to the sum that is stored. */
  findDamage(): number[] {
    this.#tables.root.resetReadTxn();
    const content = StateRoot.empty();
    for (const { key, value } of this.#tables.entries.getRange({}))
      content.change(key.readUInt8(0), key.subarray(1), null, value);
    return differingSums(content, this.#root);
  }

  /** As `findDamage`, a part of it at a time, of the state as it was when the first part was asked for. Null: there is more. */
  scrub(forMs: number): number[] | null {
    this.#scrub ??= new Scrub(this.#tables, this.#root.clone());
    const found = this.#scrub.step(forMs, () => performance.now());
    if (found) this.endScrub();
    return found;
  }

  /** Lets go of the state that it was about. */
  endScrub(): void {
    this.#scrub?.close();
    this.#scrub = null;
  }

  saveHead(bytes: Uint8Array): void {
    this.#tables.meta.putSync(META.head, buffer(bytes));
  }

  async close(): Promise<void> {
    this.endScrub();
    await this.#tables.root.close();
  }

  #together(revisions: readonly SignedRevision[], appliedAt: number): Written {
    return this.#commit(() => {
      const all = { revisions: 0, ops: 0, settings: false, held: false };
      for (const { body, bytes, target } of revisions) {
        let one: Outcome;
        try {
          one = this.#write(body, LIMITS.ops, target, bytes, appliedAt);
        } catch (error) {
          // Found before anything of it was written. It is told when it comes first.
          if (error instanceof FormatError && all.revisions > 0) break;
          throw error;
        }
        all.revisions += 1;
        all.ops += one.ops;
        all.settings ||= one.settings;
        all.held ||= one.held;
        if (all.settings || all.ops >= LISTED) break;
      }
      return all;
    });
  }

  /** To be called in `#commit`. @throws FormatError before anything is written */
  #write(body: Buffer, mostOps: number, target: Target, delta: Uint8Array | null, appliedAt: number): Outcome {
    const { buckets, faults, noted, ops, root, settings } = this.#prepare(body, mostOps);
    if (!root.root().equals(target.root)) {
      const [found, expected] = [root.root().toString('hex'), buffer(target.root).toString('hex')];
      throw new FormatError(
        'wrong_root',
        `after revision ${target.revision} the state root is ${found} and not ${expected}`,
      );
    }
    const held = noted.length > 0 ? judgeHeld(storedView(this.#tables), noted, faults, target.revision) : [];
    const names = held.length > 0 ? namesIn(body, mostOps) : new Set<string>();
    const entries = (): void => {
      for (const { table, key, value } of opsIn(body, mostOps)) {
        const name = entryName(table, key);
        if (value === null) this.#tables.entries.removeSync(name);
        else this.#tables.entries.putSync(name, value);
      }
    };
    this.#put({ target, entries, held, names, root, buckets, delta }, appliedAt);
    return { ops, settings, held: held.length > 0 };
  }

  #prepare(body: Buffer, mostOps: number): Prepared {
    const held = this.#heldNames();
    const root = this.#root.clone();
    const prepared: Prepared = { ops: 0, settings: false, root, buckets: new Set(), noted: [], faults: new Map() };
    for (const op of opsIn(body, mostOps)) {
      prepared.ops += 1;
      prepared.settings ||= op.table === TABLE.setting;
      const name = entryName(op.table, op.key);
      const before = this.#tables.entries.get(name) ?? null;
      prepared.buckets.add(root.change(op.table, op.key, before, op.value));
      const fault = op.value && faultOfEntry(op.table, op.key, op.value);
      if (fault) prepared.faults.set(op, fault);
      if (fault || isNoted(op.table, name, held)) prepared.noted.push(op);
    }
    return prepared;
  }

  #heldNames(): Set<string> {
    return new Set(Array.from(this.#tables.held.getKeys({}), (name) => name.toString('latin1')));
  }

  /** Whole, or not at all: what `work` puts is where the state stands once it is on the disk, and not before. */
  #commit(work: () => Outcome & { revisions?: number }): Written {
    const [position, root] = [this.#position, this.#root];
    try {
      const outcome = inTransaction(this.#tables, position, work);
      return { revisions: 1, ...outcome, position: this.#position };
    } catch (error) {
      [this.#position, this.#root] = [position, root];
      throw error;
    }
  }

  #put(change: Omit<StateChange, 'before' | 'appliedAt'>, appliedAt: number): void {
    this.#position = writeChange(this.#tables, { ...change, before: this.#position, appliedAt });
    this.#root = change.root;
  }

  /** Workers that were killed leave their readers behind, and these keep old pages from being used again. */
  #forgetDeadReaders(): void {
    const now = performance.now();
    if (now - this.#readersAt < READERS_MS) return;
    this.#readersAt = now;
    this.#tables.root.readerCheck();
  }

  #taken(): SnapshotIntake {
    if (this.#intake === null) throw new Error('no snapshot was begun');
    return this.#intake;
  }
}

const APPEND = { append: true } as const;
