import { SEGMENT_FAN } from '#artifacts';
import { backoffMs, type Logger, sleep } from '#platform';
import { Bell } from '../bell.js';
import type { DeltaContext } from './deltas.js';
import { collectGarbage } from './garbage.js';
import { putSegmentsEndingAt } from './segment-maker.js';
import { type MadeSnapshot, makeSnapshot } from './snapshot-maker.js';
import { deltasBetween, firstKeyOf, type LedgerSnapshot, type StoreLedger } from './store-ledger.js';
import type { StoreRules } from './store-rules.js';

const RETRY_MS = { first: 500, most: 60_000 };

export interface KeeperOptions {
  databaseUrl: string;
  rules: StoreRules;
  /** told of a snapshot that is complete, so that the next head names it */
  onSnapshot(made: MadeSnapshot): void;
}

/**
 * Segments, snapshots and garbage collection of one chain, one after the other and beside the writer of deltas and heads, which
 * never waits for them. Everything is made from PostgreSQL; what is interrupted is begun again and gives the same bytes.
 */
export class StoreKeeper {
  private readonly bell = new Bell();
  private running: Promise<void> | undefined;
  private busy: Promise<unknown> = Promise.resolve();
  /** the head of the store names this revision; 0: there is none, or it is not ours */
  private reached = 0;
  /** the newest snapshot that is complete */
  private newest: LedgerSnapshot | null = null;
  /** bytes of deltas since then, as PostgreSQL said (null: it has to be asked), and of those that came after the question */
  private since: number | null = null;
  private came = 0;
  private incomplete = false;
  /** counts heads that were met */
  private meeting = 0;
  /** every segment that ends up to here was made; null: the ledger knows */
  private segmented: number | null = null;
  private collectAt = 0;
  private noted = '';

  constructor(
    private readonly context: DeltaContext,
    private readonly ledger: StoreLedger,
    private readonly options: KeeperOptions,
    private readonly log: Logger,
  ) {}

  start(): void {
    this.running = this.run();
  }

  /** After the signal of its context has fired. */
  async stop(): Promise<void> {
    this.bell.ring();
    await this.running;
    await this.busy.catch(() => undefined); // told by whoever began it
  }

  /** Another head was met: nothing is begun until `advance`. @param isDoubtful whether the snapshot may lack something */
  met(newest: LedgerSnapshot | null, isDoubtful: boolean): void {
    this.meeting += 1;
    this.reached = 0;
    this.segmented = null;
    this.newest = newest;
    this.since = null;
    if (isDoubtful) this.collectAt = 0; // which is when it is looked at
  }

  /** The head of the store names `revision` now. @param bytes of the deltas that came with it */
  advance(revision: number, bytes: number): void {
    this.came += bytes;
    this.reached = revision;
    this.bell.ring();
  }

  /** A head names the snapshot now: what it replaces may be garbage. */
  announced(): void {
    this.collectAt = 0;
    this.bell.ring();
  }

  /** A snapshot of what the chain says now, for a store that cannot be filled from the first revision on. */
  begin(): Promise<MadeSnapshot | null> {
    return this.alone(async () => {
      const made = await this.snapshot();
      this.newest = made;
      this.since = null;
      return made;
    });
  }

  private async run(): Promise<void> {
    const { signal } = this.context;
    for (let failures = 0; !signal.aborted; ) {
      const wait = Math.max(0, this.collectAt - performance.now());
      if (this.reached === 0 || wait > 0) await this.bell.wait(wait || this.options.rules.collectMs);
      if (signal.aborted) return;
      try {
        await this.alone(() => this.work());
        failures = 0;
        this.noted = '';
      } catch (error) {
        if (signal.aborted) return;
        this.note(error as Error);
        await sleep(backoffMs(failures++, RETRY_MS.first, RETRY_MS.most, Math.random), signal);
        this.bell.ring();
      }
    }
  }

  private async work(): Promise<void> {
    const { reached } = this;
    if (reached === 0) return;
    await this.segments(reached);
    if (this.incomplete || (await this.isDue())) {
      const { meeting } = this;
      const made = await this.snapshot();
      // what was written into a store that has lost its head since may be lost as well
      if (!made || meeting !== this.meeting) return;
      this.newest = made;
      this.since = null;
      this.incomplete = false;
      this.options.onSnapshot(made);
    }
    if (performance.now() < this.collectAt || this.reached === 0) return;
    const { incomplete } = await collectGarbage(this.context, this.ledger, this.options.rules);
    if (incomplete) this.log.error('the newest snapshot in the artifact store lacks something; another one is made');
    this.incomplete = incomplete;
    this.collectAt = performance.now() + this.options.rules.collectMs;
    if (incomplete) this.bell.ring();
  }

  private async segments(upTo: number): Promise<void> {
    if (this.segmented === null) {
      const { segmented, segmentFloor } = await this.ledger.read();
      const from = Math.max(segmented, segmentFloor);
      this.segmented = from - (from % SEGMENT_FAN);
    }
    for (let last = this.segmented + SEGMENT_FAN; last <= upTo && this.reached > 0; last += SEGMENT_FAN) {
      await putSegmentsEndingAt(this.context, last);
      if (this.segmented === null) return; // another head was met
      await this.ledger.segmented(last);
      this.segmented = last;
    }
  }

  private async snapshot(): Promise<MadeSnapshot | null> {
    const made = await makeSnapshot(this.context, this.options.databaseUrl, this.options.rules);
    if (made) this.log.info({ revision: made.revision, bytes: made.bytes }, 'the artifact store has a new snapshot');
    return made;
  }

  private async isDue(): Promise<boolean> {
    const { query, environment, signer } = this.context;
    // replicas that join after an earlier key was retired trust this one only
    const keyId = this.newest?.keyId ?? (await firstKeyOf(query, environment));
    if (keyId && !keyId.equals(signer.keyId)) return true;
    const { revision = 0, bytes: size = 0 } = this.newest ?? {};
    if (this.since === null) {
      const { meeting, reached } = this;
      this.came = 0;
      const { bytes } = await deltasBetween(query, environment, revision, reached);
      if (meeting !== this.meeting) return false;
      this.since = bytes;
    }
    return isSnapshotDue(
      { revisions: this.reached - revision, bytes: this.since + this.came },
      size,
      this.options.rules,
    );
  }

  /** One thing at a time: a snapshot must not be made while blobs are removed. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const next = this.busy.catch(() => undefined).then(work); // told by whoever began it
    this.busy = next;
    return next;
  }

  private note(error: Error): void {
    if (this.noted === error.message) return;
    this.noted = error.message;
    this.log.warn(
      { cause: error.message },
      'segments and snapshots of the artifact store fall behind; deltas and heads go on',
    );
  }
}

/** @param snapshotBytes of the newest one; 0: none */
export function isSnapshotDue(
  since: { revisions: number; bytes: number },
  snapshotBytes: number,
  rules: StoreRules,
): boolean {
  return since.bytes > Math.max(snapshotBytes, rules.snapshotBytes) || since.revisions >= rules.snapshotRevisions;
}
