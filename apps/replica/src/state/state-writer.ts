import { BodyReader, decodeHeader, FormatError, LIMITS, StateRoot } from '#artifacts';
import { type Op, TABLE } from '#model';
import { type EntryFault, faultOfEntry } from './entry-fault.js';
import { type HeldChange, judgeHeld } from './quarantine.js';
import { differingSums, Scrub } from './scrub.js';
import { isNoted, SnapshotIntake } from './snapshot-intake.js';
import type { SnapshotPlan } from './snapshot-plan.js';
import { openTables, readPosition, type StateTables } from './state-database.js';
import { entryName, META, type StoredPosition } from './state-layout.js';
import { loadRoot } from './state-opening.js';
import { storedView } from './stored-view.js';
import { type Target, writeChange } from './state-transaction.js';

/** What came of a write. */
export interface Written {
  /** changes that it had */
  ops: number;
  /** whether there may be one of a setting among them */
  settings: boolean;
}

/** What is known of a change before it is written. */
interface Prepared extends Written {
  root: StateRoot;
  /** whose sums changed */
  buckets: Set<number>;
  noted: Op[];
  faults: Map<Op, EntryFault>;
}

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

  constructor(directory: string) {
    this.#tables = openTables(directory, false);
    this.#position = readPosition(this.#tables);
    this.#root = loadRoot(this.#tables);
  }

  /** One revision. @param hash of it @throws FormatError, Error of the disk: nothing has changed then */
  applyRevision(bytes: Uint8Array, hash: Uint8Array, appliedAt: number): Written {
    const { header, length } = decodeHeader(buffer(bytes));
    const body = buffer(bytes).subarray(length);
    return this.#write(body, LIMITS.ops, { ...header, hash }, bytes, appliedAt);
  }

  /** The last changes of many revisions at once, up to the one in `target`. */
  applyRange(body: Uint8Array, target: Target, appliedAt: number): Written {
    return this.#write(buffer(body), LIMITS.segmentOps, target, null, appliedAt);
  }

  beginSnapshot(plan: SnapshotPlan): void {
    this.#intake = new SnapshotIntake(plan);
  }

  /** Its blob has come. @throws FormatError */
  addBucket(bucket: number): void {
    this.#taken().add(bucket, StateRoot.empty());
  }

  commitSnapshot(appliedAt: number): Written {
    const intake = this.#taken();
    this.#intake = null;
    const { entries: table } = this.#tables;
    const root = this.#root.clone();
    intake.prove(root);
    const { target, buckets } = intake.plan;
    this.#tables.root.resetReadTxn();
    const { append, deletes, faults, noted, puts } = intake.difference(this.#tables, this.#heldNames());
    const entries = (): void => {
      for (const name of deletes) table.removeSync(name);
      for (const start of puts) {
        const { table: number, key, value } = intake.entries.at(start);
        // a copy: lmdb does not take values that lie in shared memory
        table.putSync(entryName(number, key), Buffer.from(value), append ? APPEND : {});
      }
    };
    const held = judgeHeld(storedView(this.#tables), noted, faults, target.revision);
    this.#commit(
      { target, entries, held, names: new Set(), root, buckets: buckets.map(({ bucket }) => bucket), delta: null },
      appliedAt,
    );
    return { ops: puts.length + deletes.length, settings: true };
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

  #write(body: Buffer, mostOps: number, target: Target, delta: Uint8Array | null, appliedAt: number): Written {
    const { buckets, faults, noted, ops, root, settings } = this.#prepare(body, mostOps);
    if (!root.root().equals(target.root)) {
      const [found, expected] = [root.root().toString('hex'), buffer(target.root).toString('hex')];
      throw new FormatError(
        'wrong_root',
        `after revision ${target.revision} the state root is ${found} and not ${expected}`,
      );
    }
    const held = judgeHeld(storedView(this.#tables), noted, faults, target.revision);
    const names = held.length > 0 ? namesIn(body, mostOps) : new Set<string>();
    const entries = (): void => {
      for (const { table, key, value } of opsIn(body, mostOps)) {
        const name = entryName(table, key);
        if (value === null) this.#tables.entries.removeSync(name);
        else this.#tables.entries.putSync(name, value);
      }
    };
    this.#commit({ target, entries, held, names, root, buckets, delta }, appliedAt);
    return { ops, settings };
  }

  #prepare(body: Buffer, mostOps: number): Prepared {
    this.#tables.root.resetReadTxn();
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

  #commit(
    change: {
      target: Target;
      entries: () => void;
      held: readonly HeldChange[];
      names: ReadonlySet<string>;
      root: StateRoot;
      buckets: Iterable<number>;
      delta: Uint8Array | null;
    },
    appliedAt: number,
  ): void {
    this.#position = writeChange(this.#tables, { ...change, before: this.#position, appliedAt });
    this.#root = change.root;
  }

  #taken(): SnapshotIntake {
    if (this.#intake === null) throw new Error('no snapshot was begun');
    return this.#intake;
  }
}

const APPEND = { append: true } as const;

/** One after the other: all at once a segment's ops would take ten times the memory of its bytes. */
function* opsIn(body: Buffer, mostOps: number): Iterable<Op> {
  const reader = new BodyReader(body, mostOps);
  for (let op = reader.next(); op; op = reader.next()) yield op;
}

function namesIn(body: Buffer, mostOps: number): Set<string> {
  return new Set(Array.from(opsIn(body, mostOps), ({ table, key }) => entryName(table, key).toString('latin1')));
}

/** What came from another thread is no Buffer any more. */
function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
