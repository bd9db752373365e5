import {
  type ArtifactReader,
  FormatError,
  type Head,
  snapshotName,
  StoreError,
  type TrustedKeys,
  type VerifiedSnapshot,
} from '#artifacts';
import type { Logger } from '#platform';
import { type ReplacedBucket, snapshotPlan } from '../../state/snapshot-plan.js';
import type { StateStore } from '../../state/state-store.js';
import { StateWriteError } from '../../state/writer-port.js';
import { CatchUpError } from './catch-up-error.js';
import { addPieces, countFirst, emptyPlan } from './first-fill.js';
import { Mending } from './mending.js';
import { ObjectFetcher } from './object-fetcher.js';
import { differing } from './plan.js';
import type { Piece } from './routes.js';
import { requireSameChain } from './same-chain.js';
import { SnapshotDownload } from './snapshot-download.js';
import { noWay, Survey, type Wayside } from './survey.js';
import { verifyPiece } from './verify-piece.js';

export interface CatchUpOptions {
  reader: ArtifactReader;
  state: StateStore;
  /** those that are trusted at that moment: a revision can change them */
  trusted: () => TrustedKeys;
  /** throws when it is known by now that a head leads nowhere: before the first step, and before each */
  check: (head: Head) => void;
  log: Logger;
  /** after each step, which is whole by itself */
  onApplied: (ops: number, seconds: number) => void;
}

/** Of a single revision: another way would not lead around these. */
const FINAL = new Set(['reader_too_old', 'wrong_previous', 'wrong_root']);

/**
 * The way to a head that is many revisions away, from one source: segments and revisions, or the buckets of a snapshot
 * that differ, whichever has fewer bytes. Each step is one transaction, so what was applied stays applied.
 */
export class CatchUp {
  readonly #fetcher: ObjectFetcher;
  #download: SnapshotDownload | null = null;

  constructor(private readonly options: CatchUpOptions) {
    this.#fetcher = new ObjectFetcher(options.reader);
  }

  /**
   * @returns the revision that the state is at: the head's, or a later one
   * @throws CatchUpError for an object without which there is no way; FormatError `wrong_previous`, `wrong_root` or
   * `reader_too_old` for a revision that ends the way; StoreError when the source does not answer; StateWriteError; the signal's reason
   */
  async run(head: Head, signal: AbortSignal): Promise<{ applied: number }> {
    const { log, reader, state, trusted } = this.options;
    let compared = false;
    const survey = new Survey(reader, this.#fetcher, head);
    for (;;) {
      const from = state.position.revision;
      if (from >= head.revision) return { applied: from };
      this.options.check(head);
      const plan = await survey.plan(from, state.sums(), signal);
      // the next revision names the one that is here by itself
      const jumps = plan.kind === 'snapshot' || (plan.kind === 'route' && plan.route.pieces[0]?.level !== 0);
      if (jumps && !compared) {
        const why = await requireSameChain(this.#fetcher, state, trusted(), signal);
        if (why)
          log.warn({ revision: from, why }, 'a jump begins at a revision that the source could not be asked about');
        compared = true;
      }
      try {
        if (plan.kind === 'route') await this.#take(survey.named(plan.route), head, signal);
        else if (plan.kind === 'look') await survey.manifest(trusted(), signal);
        else if (plan.kind === 'snapshot') await this.#replace(plan.buckets, survey, head, signal);
        else throw survey.fault ?? noWay(reader, head, from, head.revision);
      } catch (error) {
        if (!(error instanceof CatchUpError) || error.code === 'fork' || plan.kind === 'none') throw error;
        if (plan.kind !== 'route') survey.leaveSnapshotOut();
        if (!survey.leaveOut(error)) throw error;
        // on an empty disk nothing tells a key that was retired from a stranger's: where there is no other way it is told
        log[from === 0 && error.code === 'untrusted_key' ? 'info' : 'warn'](
          { object: error.object, code: error.code, detail: error.message },
          'an object is of no use; another way is taken',
        );
      }
    }
  }

  /**
   * Compares what is stored with its sums, which takes seconds, and fetches those buckets that do not agree.
   *
   * @returns how many did not, and the revision that the state is at: its own, or that of a newer snapshot
   * @throws as `run`; CatchUpError `state_damaged` when it cannot be mended
   */
  async repair(head: Head, signal: AbortSignal): Promise<{ damaged: number; applied: number }> {
    const { check, log, reader, state, trusted } = this.options;
    check(head);
    const damaged = await state.findDamage();
    if (damaged.length > 0) {
      const { revision } = state.position;
      log.error(
        { buckets: damaged.length, revision },
        'the state on the disk is damaged; its damaged parts are fetched again',
      );
      if (head.snapshot === null)
        throw new CatchUpError(
          'state',
          'state_damaged',
          `${damaged.length} buckets are damaged, and ${reader.description} has no snapshot yet`,
        );
      const survey = new Survey(reader, this.#fetcher, head);
      const snapshot = await survey.manifest(trusted(), signal);
      if (snapshot.header.revision > revision) {
        const buckets = new Set([...differing(snapshot.buckets, state.sums()), ...damaged]);
        await this.#replace(
          [...buckets].sort((a, b) => a - b),
          survey,
          head,
          signal,
        );
      } else await this.#mend(damaged, snapshot, survey, signal);
      const left = (await state.findDamage()).length;
      if (left > 0)
        throw new CatchUpError(
          'state',
          'state_damaged',
          `${left} buckets are damaged still; give this replica an empty HELIO_STATE_DIR`,
        );
    }
    return { damaged: damaged.length, applied: state.position.revision };
  }

  /** To what they held at the revision that is here, which is newer than the snapshot. */
  async #mend(
    buckets: readonly number[],
    snapshot: VerifiedSnapshot,
    survey: Survey,
    signal: AbortSignal,
  ): Promise<void> {
    const { onApplied, state, trusted } = this.options;
    const { hash, root, ...position } = state.position;
    const began = performance.now();
    const mending = new Mending(this.#fetcher, snapshot, buckets);
    const way = await survey.route(snapshot.header.revision, position.revision, signal);
    const changes = await mending.changes(way, trusted(), signal);
    const contents = new Map<number, Buffer>();
    const replaced: ReplacedBucket[] = [];
    for await (const content of mending.contents(changes, state.sums(), signal)) {
      contents.set(content.replaced.bucket, content.bytes);
      replaced.push(content.replaced);
    }
    const plan = snapshotPlan(
      { ...position, hash: Buffer.from(hash, 'hex'), root: Buffer.from(root, 'hex') },
      replaced,
    );
    const ops = await state.applySnapshot(
      plan,
      async (filled) => {
        for (const { at, bucket, bytes } of plan.buckets.filter((one) => one.bytes > 0)) {
          new Uint8Array(plan.memory, at, bytes).set(contents.get(bucket) ?? []);
          await filled(bucket);
        }
      },
      Date.now,
    );
    onApplied(ops, (performance.now() - began) / 1000);
  }

  async #take(way: readonly Wayside[], head: Head, signal: AbortSignal): Promise<void> {
    // Single revisions stay on the disk one by one, for others that ask.
    const isFirst = this.options.state.position.revision === 0 && way.some(({ piece }) => piece.level > 0);
    if (!isFirst || !(await this.#begin(way, head, signal))) await this.#follow(way, head, signal);
  }

  /** @returns false when not even the first piece is of use */
  async #begin(way: readonly Wayside[], head: Head, signal: AbortSignal): Promise<boolean> {
    const { check, log, onApplied, state, trusted } = this.options;
    const { bytes, pieces } = countFirst(way);
    const { plan, position } = emptyPlan(head.environment, bytes);
    const began = performance.now();
    try {
      const ops = await state.applySnapshot(
        plan,
        async (_, later) => {
          const options = { fetcher: this.#fetcher, head, trusted: trusted(), log, signer: null };
          await addPieces(plan, position, pieces, later, options, signal);
          check(head);
        },
        Date.now,
      );
      onApplied(ops, (performance.now() - began) / 1000);
      return true;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      log.warn({ detail: error.message }, 'the way from the beginning is taken piece by piece');
      return false;
    }
  }

  async #follow(way: readonly Wayside[], head: Head, signal: AbortSignal): Promise<void> {
    for await (const { want, bytes } of this.#fetcher.inOrder(way, signal)) {
      this.options.check(head);
      const began = performance.now();
      const ops = await this.#apply(want.piece, want.name, bytes, head);
      this.options.onApplied(ops, (performance.now() - began) / 1000);
    }
  }

  async #apply(piece: Piece, name: string, bytes: Buffer, head: Head): Promise<number> {
    const { state, trusted } = this.options;
    try {
      const step = verifyPiece(piece, bytes, state.chainPosition, head, trusted());
      return 'hash' in step ? await state.apply(step, Date.now()) : await state.applySegment(step, Date.now());
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      const final = error.code === 'reader_too_old' || (piece.level === 0 && FINAL.has(error.code));
      throw final ? new FormatError(error.code, `${name}: ${error.message}`) : CatchUpError.of(name, error);
    }
  }

  async #replace(buckets: readonly number[], survey: Survey, head: Head, signal: AbortSignal): Promise<void> {
    const { check, log, onApplied, state, trusted } = this.options;
    const snapshot = await survey.manifest(trusted(), signal);
    const { environment, epoch, revision } = snapshot.header;
    if (epoch < state.position.epoch)
      throw new CatchUpError(
        snapshotName(environment, revision),
        'older_epoch',
        `its epoch ${epoch} is older than ${state.position.epoch}`,
      );
    const isFirst = state.position.revision === 0;
    const tail = countFirst(isFirst ? await this.#wayAfter(revision, survey, head, signal) : []);
    const download = this.#download?.isFor(snapshot, buckets)
      ? this.#download
      : new SnapshotDownload(snapshot, buckets, tail.bytes);
    this.#download = download;
    log.info({ revision, buckets: buckets.length }, 'fetching the parts of a snapshot that differ');
    const began = performance.now();
    try {
      const fill: Parameters<StateStore['applySnapshot']>[1] = async (filled, later) => {
        await download.fill(this.#fetcher, filled, signal);
        const options = { fetcher: this.#fetcher, head, trusted: trusted(), log, signer: snapshot.header.keyId };
        await addPieces(download.plan, snapshot.header, tail.pieces, later, options, signal);
        check(head);
      };
      const ops = await state.applySnapshot(download.plan, fill, Date.now);
      this.#download = null;
      onApplied(ops, (performance.now() - began) / 1000);
    } catch (error) {
      // What has come is kept for a source that comes back, or a disk that has room again, and for nothing else.
      if (!(error instanceof StoreError || error instanceof StateWriteError)) this.#download = null;
      throw error;
    }
  }

  async #wayAfter(revision: number, survey: Survey, head: Head, signal: AbortSignal): Promise<readonly Wayside[]> {
    try {
      return await survey.route(revision, head.revision, signal);
    } catch (error) {
      if (!(error instanceof CatchUpError)) throw error;
      return []; // the snapshot alone is better than nothing
    }
  }
}
