import {
  type ChainPosition,
  FormatError,
  GENESIS_HASH,
  type Head,
  LIMITS,
  StateRoot,
  StoreError,
  TrustedKeys,
  type VerifiedRevision,
  type VerifiedSegment,
} from '#artifacts';
import { decodeTrustedKeys } from '#model';
import type { Logger } from '#platform';
import { type SnapshotPlan, snapshotPlan } from '../../state/snapshot-plan.js';
import type { LaterChanges } from '../../state/state-store.js';
import { ownTarget } from '../../state/state-transaction.js';
import { CatchUpError } from './catch-up-error.js';
import type { ObjectFetcher } from './object-fetcher.js';
import type { Wayside } from './survey.js';
import { verifyPiece } from './verify-piece.js';

/** They lie in memory until all of them are written; what is beyond is applied piece by piece. */
const TOGETHER_BYTES = 256 * 1024 * 1024;

/** As many of the pieces as may be written together. */
export function countFirst(pieces: readonly Wayside[]): { pieces: readonly Wayside[]; bytes: number } {
  let bytes = 0;
  let count = 0;
  for (const piece of pieces) {
    if (bytes + piece.bytes > TOGETHER_BYTES) break;
    bytes += piece.bytes;
    count += 1;
  }
  return { pieces: pieces.slice(0, count), bytes };
}

/** Nothing, and room for everything that changed since. */
export function emptyPlan(environment: string, room: number): { plan: SnapshotPlan; position: ChainPosition } {
  const position: ChainPosition = { environment, epoch: 0, revision: 0, hash: GENESIS_HASH };
  return { plan: snapshotPlan({ ...position, root: StateRoot.empty().root(), issuedAt: 0 }, [], room), position };
}

export interface FirstFillOptions {
  fetcher: ObjectFetcher;
  head: Head;
  trusted: TrustedKeys;
  log: Logger;
  /** id of the key that signed what these pieces come after; null: they are the first */
  signer: Buffer | null;
}

/**
 * Puts pieces of the chain into a plan for an empty disk, each verified on the one before.
 *
 * It ends early, before a piece that is of no use, so that it is told when it comes by itself, and before one that is signed
 * with another key, or after one that takes its key away: whether that is believed a state says that was applied.
 *
 * @param position what the plan leads to without them
 */
export async function addPieces(
  plan: SnapshotPlan,
  position: ChainPosition,
  pieces: readonly Wayside[],
  later: LaterChanges,
  { fetcher, head, log, signer: first, trusted }: FirstFillOptions,
  signal: AbortSignal,
): Promise<void> {
  let signer = first;
  let at = plan.end;
  let reached = position;
  try {
    for await (const { want, bytes } of fetcher.inOrder(pieces, signal)) {
      const step = verifyPiece(want.piece, bytes, reached, head, trusted);
      const { body, header } = step;
      signer ??= header.keyId;
      if (!header.keyId.equals(signer) || at + body.length > plan.memory.byteLength) return;
      new Uint8Array(plan.memory, at, body.length).set(body);
      const { issuedAt, root } = header;
      const mostOps = want.piece.level === 0 ? LIMITS.ops : LIMITS.segmentOps;
      const end = endOf(step);
      const named = await later(at, body.length, mostOps, ownTarget({ ...end, issuedAt, root }));
      if (named !== undefined && !believes(named, signer)) return;
      at += body.length;
      reached = end;
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof FormatError || error instanceof CatchUpError || error instanceof StoreError)) throw error;
    log.info(
      { revision: reached.revision, detail: error.message },
      'what comes after this revision is applied by itself',
    );
  }
}

function endOf(step: VerifiedRevision | VerifiedSegment): ChainPosition {
  if ('hash' in step) return { ...step.header, hash: step.hash };
  return { ...step.header, revision: step.header.last };
}

function believes(named: Uint8Array | null, signer: Buffer): boolean {
  const keys = named && decodeTrustedKeys(Buffer.from(named));
  return keys !== null && new TrustedKeys(keys).has(signer);
}
