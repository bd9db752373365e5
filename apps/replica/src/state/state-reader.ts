import type { Transaction } from 'lmdb';
import { BodyReader, decodeHeader } from '#artifacts';
import { TABLE } from '#model';
import { decodeHeld } from './held-entry.js';
import { isEmpty, openTables, readPosition, type StateTables } from './state-database.js';
import {
  decodeNames,
  deltaName,
  entryName,
  LISTED,
  type StoredPosition,
  tableRange,
  touchedName,
} from './state-layout.js';
import type { StateChanges, StateReader, StateSnapshot } from './state-snapshot.js';

/**
 * Opens the state for reading, beside the process that applies revisions.
 *
 * @throws StateDirectoryError before that process has opened it for the first time
 */
export function openStateReader(directory: string): StateReader {
  const tables = openTables(directory, true);
  const newest = (): StoredPosition => {
    tables.root.resetReadTxn();
    return readPosition(tables);
  };
  return {
    revision: () => newest().revision,
    repairs: () => newest().repairs,
    snapshot: () => openSnapshot(tables),
    close: () => tables.root.close(),
  };
}

export function openSnapshot(tables: StateTables): StateSnapshot {
  // lmdb keeps one read transaction for all reads of a turn of the event loop; the newest state needs a new one
  tables.root.resetReadTxn();
  return new LmdbSnapshot(tables, tables.root.useReadTransaction());
}

class LmdbSnapshot implements StateSnapshot {
  readonly environment: string;
  readonly epoch: number;
  readonly revision: number;
  readonly repairs: number;
  /** nearly always true, and then the table of held entries costs nothing */
  readonly #nothingHeld: boolean;
  #open = true;

  constructor(
    private readonly tables: StateTables,
    private readonly transaction: Transaction,
  ) {
    const position = readPosition(tables, transaction);
    this.environment = position.environment;
    this.epoch = position.epoch;
    this.revision = position.revision;
    this.repairs = position.repairs;
    this.#nothingHeld = isEmpty(tables.held, transaction);
  }

  get(table: number, key: Buffer): Buffer | null {
    const name = entryName(table, key);
    const options = this.#options();
    if (!this.#nothingHeld) {
      const held = this.tables.held.get(name, options);
      if (held !== undefined) return decodeHeld(held).serving;
    }
    return this.tables.entries.get(name, options) ?? null;
  }

  *entries(table: number): Iterable<{ key: Buffer; value: Buffer }> {
    const range = { ...tableRange(table), ...this.#options() };
    const held = this.#heldOf(table);
    for (const { key: name, value } of this.tables.entries.getRange(range)) {
      // what is held although the chain dropped it stands between two entries of the chain
      while (held[0] && held[0].name.compare(name) < 0) yield* served(held.shift());
      if (held[0]?.name.equals(name)) yield* served(held.shift());
      else yield { key: name.subarray(1), value };
    }
    for (const rest of held) yield* served(rest);
  }

  changesSince(revision: number, repairs = this.repairs): StateChanges | null {
    if (revision > this.revision || repairs !== this.repairs) return null;
    const changed = new Map<string, Buffer>();
    const note = (name: Buffer): unknown => changed.set(name.toString('latin1'), name);
    const options = this.#options();
    let left = LISTED;
    for (let number = revision + 1; number <= this.revision; number++) {
      const bytes = this.tables.deltas.get(deltaName(number), options);
      if (bytes === undefined) return null;
      const body = new BodyReader(bytes.subarray(decodeHeader(bytes).length));
      for (let op = body.next(); op; op = body.next()) {
        // the ops come in the order of tables: what is compiled first, and then nothing that has to be known one by one
        if (op.table > TABLE.plan && --left < 0) break;
        note(entryName(op.table, op.key));
      }
      const touched = this.tables.deltas.get(touchedName(number), options);
      if (touched) decodeNames(touched).forEach(note);
    }
    const entries = [...changed.values()].map((name) => ({ table: name.readUInt8(0), key: name.subarray(1) }));
    return { entries, complete: left >= 0 };
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.transaction.done();
  }

  /** Few: they are read whole. */
  #heldOf(table: number): { name: Buffer; serving: Buffer | null }[] {
    if (this.#nothingHeld) return [];
    const range = this.tables.held.getRange({ ...tableRange(table), ...this.#options() });
    return Array.from(range, ({ key: name, value }) => ({ name, serving: decodeHeld(value).serving }));
  }

  #options(): { transaction: Transaction } {
    if (!this.#open) throw new Error('the snapshot was closed');
    return { transaction: this.transaction };
  }
}

function served(held: { name: Buffer; serving: Buffer | null } | undefined): { key: Buffer; value: Buffer }[] {
  return held?.serving ? [{ key: held.name.subarray(1), value: held.serving }] : [];
}
