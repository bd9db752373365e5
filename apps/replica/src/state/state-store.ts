import { BUCKETS, type ChainPosition, type VerifiedRevision, type VerifiedSegment } from '#artifacts';
import type { Nack } from '#model';
import type { ProcessLock } from '#platform';
import { judgeHeldAgain } from './quarantine.js';
import type { SnapshotIntake } from './snapshot-intake.js';
import type { SnapshotPlan } from './snapshot-plan.js';
import { readPosition, type StateTables } from './state-database.js';
import { bucketName, deltaName, type KnownHead, knownHead, META, type StoredPosition } from './state-layout.js';
import { type OpenedState, openState } from './state-opening.js';
import { openSnapshot } from './state-reader.js';
import type { StateReader, StateSnapshot } from './state-snapshot.js';
import { ownTarget, putHeld } from './state-transaction.js';
import type { Written } from './state-writer.js';
import { readNacks, storedView } from './stored-view.js';
import { WriterPort } from './writer-port.js';

/** See `SnapshotIntake.addLater`. */
export type LaterChanges = (
  ...change: Parameters<SnapshotIntake['addLater']>
) => Promise<Uint8Array | null | undefined>;

/** What came of a step. */
export interface Applied {
  revisions: number;
  ops: number;
}

/**
 * The state of one replica on its own disk. One process has it open to write, which a thread of it does; this process
 * and others read.
 */
export class StateStore {
  readonly #tables: StateTables;
  readonly #lock: ProcessLock;
  readonly #writer: WriterPort;
  /** where a state lies that was none, and that was put away when this one was opened */
  readonly setAside: string | null;
  #position: StoredPosition;
  #head: KnownHead | null;
  #nacks: readonly Nack[];
  #writing = false;
  #settingChanges = 0;

  private constructor(directory: string, { tables, lock, position, setAside }: OpenedState) {
    this.setAside = setAside;
    this.#tables = tables;
    this.#lock = lock;
    this.#writer = new WriterPort(directory);
    this.#position = position;
    const head = tables.meta.get(META.head);
    this.#head = head === undefined ? null : knownHead.parse(JSON.parse(head.toString()));
    // This build may know what the one that held an entry back did not.
    const changes = judgeHeldAgain(storedView(tables), position.revision);
    if (changes.length > 0) tables.root.transactionSync(() => putHeld(tables, changes));
    this.#nacks = readNacks(tables);
  }

  /**
   * Opens the state, or begins an empty one.
   *
   * @param directory HELIO_STATE_DIR, which exists
   * @throws StateDirectoryError when it belongs to another environment, layout or process, or was damaged
   */
  static open(directory: string, environment: string): StateStore {
    return new StateStore(directory, openState(directory, environment));
  }

  get position(): Readonly<StoredPosition> {
    return this.#position;
  }

  /** What the next revision has to fit on. */
  get chainPosition(): ChainPosition {
    const { environment, epoch, revision, hash: chainHash } = this.#position;
    return { environment, epoch, revision, hash: Buffer.from(chainHash, 'hex') };
  }

  get head(): Readonly<KnownHead> | null {
    return this.#head;
  }

  /** Entries that cannot be used; the first 100. */
  get nacks(): readonly Nack[] {
    return this.#nacks;
  }

  /** grows when a setting of the chain may have changed, which is rarely */
  get settingChanges(): number {
    return this.#settingChanges;
  }

  snapshot(): StateSnapshot {
    return openSnapshot(this.#tables);
  }

  /** For readers in this process. To close it does nothing: it ends with the state. */
  reader(): StateReader {
    const revision = (): number => this.#position.revision;
    const repairs = (): number => this.#position.repairs;
    return { revision, repairs, snapshot: () => this.snapshot(), close: () => Promise.resolve() };
  }

  /** The exact bytes of one of the newest revisions; null when it is not kept. */
  delta(revision: number): Buffer | null {
    this.#tables.root.resetReadTxn();
    return this.#tables.deltas.get(deltaName(revision)) ?? null;
  }

  /** The sum of each bucket, 32 bytes; null for one that never had an entry. */
  sums(): (Buffer | null)[] {
    this.#tables.root.resetReadTxn();
    return Array.from({ length: BUCKETS }, (_, bucket) => this.#tables.sums.get(bucketName(bucket)) ?? null);
  }

  /** bytes of the state's file, pages that are free for the next revisions included */
  diskBytes(): number {
    const { lastPageNumber, pageSize } = this.#tables.root.getStats() as { lastPageNumber: number; pageSize: number };
    return (lastPageNumber + 1) * pageSize;
  }

  /** As `applyTogether`, one. @returns how many ops it has */
  async apply(revision: VerifiedRevision, appliedAt: number): Promise<number> {
    return (await this.applyTogether([revision], appliedAt)).ops;
  }

  /**
   * Applies verified revisions, each on the one before it, in one step: each whole, or not at all. When it resolves, as
   * many of them as it says are on the disk, at least the first. It stops after one that changes a setting: whether the
   * next one is signed by somebody who is believed then is to be verified anew.
   *
   * @param revisions at least one
   * @throws FormatError `wrong_root`, or for a body that is not as it should be, of the first; nothing has changed then
   * @throws StateWriteError; nothing has changed then, and it can be tried again
   */
  applyTogether(revisions: readonly VerifiedRevision[], appliedAt: number): Promise<Applied> {
    const [first] = revisions;
    const isOne = first !== undefined && revisions.length === 1;
    const bytes = isOne ? first.bytes : Buffer.concat(revisions.map((revision) => revision.bytes));
    const hashes = Buffer.concat(revisions.map(({ hash }) => hash));
    return this.#write(() => this.#writer.call('applyRevisions', bytes, hashes, appliedAt));
  }

  /**
   * As `apply`, for a verified segment that begins at the next revision or before: the state goes to its last one at once.
   */
  async applySegment({ body, header }: VerifiedSegment, appliedAt: number): Promise<number> {
    const target = ownTarget({ ...header, revision: header.last });
    return (await this.#write(() => this.#writer.call('applyRange', body, target, appliedAt))).ops;
  }

  /**
   * As `apply`, for a verified snapshot: whole buckets are replaced, and the others have to be those of the snapshot already.
   *
   * @param fill puts each blob into the plan's memory, and then says that it is there, which rejects for one that is not as it
   * should be; where nothing was applied yet, it may do the same with what changed later, see `SnapshotIntake`
   */
  async applySnapshot(
    plan: SnapshotPlan,
    fill: (filled: (bucket: number) => Promise<void>, later: LaterChanges) => Promise<void>,
    now: () => number,
  ): Promise<number> {
    const { ops } = await this.#write(async () => {
      await this.#writer.call('beginSnapshot', plan);
      try {
        const later: LaterChanges = (...change) => this.#writer.call('addLater', ...change);
        await fill((bucket) => this.#writer.call('addBucket', bucket), later);
        return await this.#writer.call('commitSnapshot', now());
      } catch (error) {
        await this.#writer.call('abandonSnapshot');
        throw error;
      }
    });
    return ops;
  }

  /** Buckets whose entries do not add up to the sum that is stored: the disk, or somebody, has changed them. Takes seconds. */
  findDamage(): Promise<number[]> {
    return this.#writer.call('findDamage');
  }

  /**
   * As `findDamage`, in parts between which revisions are applied.
   *
   * @param pause between two parts; says whether to go on
   * @returns null when it was not to go on
   */
  async scrub(partMs: number, pause: () => Promise<boolean>): Promise<number[] | null> {
    let found: number[] | null = null;
    try {
      do found = await this.#writer.call('scrub', partMs);
      while (found === null && (await pause()));
    } finally {
      // it keeps old pages from being used again
      if (found === null) await this.#writer.call('endScrub');
    }
    return found;
  }

  /**
   * Keeps the newest verified head. It counts at once; when it resolves it is on the disk, which waits for what is written.
   */
  async saveHead(head: KnownHead): Promise<void> {
    this.#head = head;
    await this.#writer.call('saveHead', Buffer.from(JSON.stringify(head)));
  }

  /** After what is being written. */
  async close(): Promise<void> {
    await this.#writer.close();
    await this.#tables.root.close();
    this.#lock.release();
  }

  async #write(work: () => Promise<Written>): Promise<Applied> {
    if (this.#writing) throw new Error('another revision is being applied');
    this.#writing = true;
    try {
      const { held, ops, position, revisions, settings } = await work();
      if (settings) this.#settingChanges += 1;
      this.#moved(position, held);
      return { ops, revisions };
    } catch (error) {
      // The disk knows what was written, also when the writer did not get to say so.
      this.#settingChanges += 1;
      this.#tables.root.resetReadTxn();
      const position = readPosition(this.#tables);
      if (position.hash !== this.#position.hash || position.repairs !== this.#position.repairs)
        this.#moved(position, true);
      throw error;
    } finally {
      this.#writing = false;
    }
  }

  #moved(position: StoredPosition, held: boolean): void {
    this.#position = position;
    if (!held) return;
    this.#tables.root.resetReadTxn();
    this.#nacks = readNacks(this.#tables);
  }
}
