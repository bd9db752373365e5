import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ChainPosition, FormatError, opsOf, type StateRoot, type VerifiedRevision } from '#artifacts';
import { type Nack, type Op, tableName } from '#model';
import type { ProcessLock } from '#platform';
import { type EntryFault, faultOfEntry } from './entry-fault.js';
import { decodeHeld } from './held-entry.js';
import { keyText } from './key-text.js';
import { judgeHeld, judgeHeldAgain, type StoredView } from './quarantine.js';
import type { StateTables } from './state-database.js';
import { entryName, type KnownHead, knownHead, META, type StoredPosition, tableRange } from './state-layout.js';
import { type OpenedState, openState } from './state-opening.js';
import { openSnapshot } from './state-reader.js';
import type { StateReader, StateSnapshot } from './state-snapshot.js';
import { putHeld, writeRevision } from './state-writer.js';

const MAX_NACKS = 100;
/** How long a revision is prepared without letting others of this process have their turn. */
const TURN_MS = 5;

/** What is known of a revision before it is written. */
interface Prepared {
  root: StateRoot;
  /** whose sums changed */
  buckets: Set<number>;
  faults: Map<Op, EntryFault>;
}

/** The state of one replica on its own disk. One process has it open; others read it through `openStateReader`. */
export class StateStore {
  readonly #tables: StateTables;
  readonly #lock: ProcessLock;
  #position: StoredPosition;
  #root: StateRoot;
  #head: KnownHead | null;
  #nacks: readonly Nack[];
  #applying = false;

  private constructor({ tables, lock, position, root }: OpenedState) {
    this.#tables = tables;
    this.#lock = lock;
    this.#position = position;
    this.#root = root;
    const head = tables.meta.get(META.head);
    this.#head = head === undefined ? null : knownHead.parse(JSON.parse(head.toString()));
    // This build may know what the one that held an entry back did not.
    const changes = judgeHeldAgain(this.#view(), position.revision);
    if (changes.length > 0) tables.root.transactionSync(() => putHeld(tables, changes));
    this.#nacks = this.#readNacks();
  }

  /**
   * Opens the state, or begins an empty one.
   *
   * @param directory HELIO_STATE_DIR, which exists
   * @throws StateDirectoryError when it belongs to another environment, layout or process, or was damaged
   */
  static open(directory: string, environment: string): StateStore {
    return new StateStore(openState(directory, environment));
  }

  get position(): Readonly<StoredPosition> {
    return this.#position;
  }

  /** What the next revision has to fit on. */
  get chainPosition(): ChainPosition {
    const { environment, epoch, revision, hash } = this.#position;
    return { environment, epoch, revision, hash: Buffer.from(hash, 'hex') };
  }

  get head(): Readonly<KnownHead> | null {
    return this.#head;
  }

  /** Entries that cannot be used; the first 100. */
  get nacks(): readonly Nack[] {
    return this.#nacks;
  }

  snapshot(): StateSnapshot {
    return openSnapshot(this.#tables);
  }

  /** For readers in this process. To close it does nothing: it ends with the state. */
  reader(): StateReader {
    const revision = (): number => this.#position.revision;
    return { revision, snapshot: () => this.snapshot(), close: () => Promise.resolve() };
  }

  /** bytes of the state's file, pages that are free for the next revisions included */
  diskBytes(): number {
    const { lastPageNumber, pageSize } = this.#tables.root.getStats() as { lastPageNumber: number; pageSize: number };
    return (lastPageNumber + 1) * pageSize;
  }

  /**
   * Applies a verified revision whole, or not at all: when it resolves, it is on the disk.
   *
   * @returns how many ops it has
   * @throws FormatError `wrong_root`, or for a body that is not as it should be; nothing has changed then
   * @throws Error of the disk; nothing has changed then, and it can be tried again
   */
  async apply(revision: VerifiedRevision, appliedAt: number): Promise<number> {
    if (this.#applying) throw new Error('another revision is being applied');
    this.#applying = true;
    try {
      const { header } = revision;
      const ops = opsOf(revision);
      const { buckets, faults, root } = await this.#prepare(ops);
      requireRoot(header.revision, root.root(), header.root);
      const held = judgeHeld(this.#view(), ops, faults, header.revision);
      const before = this.#position;
      this.#position = writeRevision(this.#tables, { revision, ops, held, root, buckets, before, appliedAt });
      this.#root = root;
      if (held.length > 0) this.#nacks = this.#readNacks();
      return ops.length;
    } finally {
      this.#applying = false;
    }
  }

  /** Keeps the newest verified head, on the disk when it returns. */
  saveHead(head: KnownHead): void {
    this.#tables.meta.putSync(META.head, Buffer.from(JSON.stringify(head)));
    this.#head = head;
  }

  async close(): Promise<void> {
    await this.#tables.root.close();
    this.#lock.release();
  }

  /** In several turns, for it takes most of the time: nobody else writes meanwhile, and the transaction checks that. */
  async #prepare(ops: readonly Op[]): Promise<Prepared> {
    const prepared: Prepared = { root: this.#root.clone(), buckets: new Set(), faults: new Map() };
    let turn = performance.now();
    for (const op of ops) {
      const before = this.#tables.entries.get(entryName(op.table, op.key)) ?? null;
      prepared.buckets.add(prepared.root.change(op.table, op.key, before, op.value));
      const fault = op.value && faultOfEntry(op.table, op.key, op.value);
      if (fault) prepared.faults.set(op, fault);
      if (performance.now() - turn < TURN_MS) continue;
      await nextTurn();
      turn = performance.now();
    }
    return prepared;
  }

  #view(): StoredView {
    const { entries, held } = this.#tables;
    return {
      chain: (name) => entries.get(name) ?? null,
      chainHas: (name) => entries.doesExist(name),
      chainNames: (table) => entries.getKeys(tableRange(table)),
      held: (name) => {
        const bytes = held.get(name);
        return bytes === undefined ? null : decodeHeld(bytes);
      },
      heldNames: (table) => held.getKeys(table === undefined ? {} : tableRange(table)),
    };
  }

  #readNacks(): Nack[] {
    const nacks: Nack[] = [];
    for (const { key: name, value } of this.#tables.held.getRange({})) {
      const { reason } = decodeHeld(value);
      if (reason === null) continue;
      const table = name.readUInt8(0);
      nacks.push({ table: tableName(table), key: keyText(table, name.subarray(1)), ...reason });
      if (nacks.length === MAX_NACKS) break;
    }
    return nacks;
  }
}

function requireRoot(revision: number, found: Buffer, expected: Buffer): void {
  if (found.equals(expected)) return;
  const detail = `after revision ${revision} the state root is ${found.toString('hex')} and not ${expected.toString('hex')}`;
  throw new FormatError('wrong_root', detail);
}
