import { BUCKETS, type ChainPosition, type VerifiedRevision, type VerifiedSegment } from '#artifacts';
import type { Nack } from '#model';
import type { ProcessLock } from '#platform';
import { judgeHeldAgain } from './quarantine.js';
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

  /**
   * Applies a verified revision whole, or not at all: when it resolves, it is on the disk.
   *
   * @returns how many ops it has
   * @throws FormatError `wrong_root`, or for a body that is not as it should be; nothing has changed then
   * @throws StateWriteError; nothing has changed then, and it can be tried again
   */
  apply(revision: VerifiedRevision, appliedAt: number): Promise<number> {
    return this.#write(() => this.#writer.call('applyRevision', revision.bytes, revision.hash, appliedAt));
  }

  /**
   * As `apply`, for a verified segment that begins at the next revision or before: the state goes to its last one at once.
   */
  applySegment({ body, header }: VerifiedSegment, appliedAt: number): Promise<number> {
    const target = ownTarget({ ...header, revision: header.last });
    return this.#write(() => this.#writer.call('applyRange', body, target, appliedAt));
  }

  /**
   * As `apply`, for a verified snapshot: whole buckets are replaced, and the others have to be those of the snapshot already.
   *
   * @param fill puts each blob into the plan's memory, and then says that it is there, which rejects for one that is not as it
   * should be
   */
  applySnapshot(
    plan: SnapshotPlan,
    fill: (filled: (bucket: number) => Promise<void>) => Promise<void>,
    now: () => number,
  ): Promise<number> {
    return this.#write(async () => {
      await this.#writer.call('beginSnapshot', plan);
      try {
        await fill((bucket) => this.#writer.call('addBucket', bucket));
        return await this.#writer.call('commitSnapshot', now());
      } catch (error) {
        await this.#writer.call('abandonSnapshot');
        throw error;
      }
    });
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

  async #write(work: () => Promise<Written>): Promise<number> {
    if (this.#writing) throw new Error('another revision is being applied');
    this.#writing = true;
    let settings = true; // as long as the writer does not say otherwise
    try {
      const written = await work();
      settings = written.settings;
      return written.ops;
    } finally {
      this.#writing = false;
      if (settings) this.#settingChanges += 1;
      this.#lookAgain();
    }
  }

  /** At the disk: it knows what was written, also when the writer did not get to say so. */
  #lookAgain(): void {
    this.#tables.root.resetReadTxn();
    const position = readPosition(this.#tables);
    if (position.hash === this.#position.hash && position.repairs === this.#position.repairs) return;
    this.#position = position;
    this.#nacks = readNacks(this.#tables);
  }
}
