import { hash } from 'node:crypto';
import {
  BodyReader,
  blobName,
  bucketOf,
  decodeBlob,
  encodeBlob,
  type Entry,
  FormatError,
  LIMITS,
  type SnapshotBucket,
  type TrustedKeys,
  type VerifiedSnapshot,
  verifySegment,
} from '#artifacts';
import type { Op } from '#model';
import type { ReplacedBucket } from '../../state/snapshot-plan.js';
import { verifyAlone } from '../verify-alone.js';
import { CatchUpError } from './catch-up-error.js';
import type { ObjectFetcher } from './object-fetcher.js';
import type { Piece } from './routes.js';
import type { Wayside } from './survey.js';

/** The last change of each entry of a bucket, by its name. */
type Changes = Map<number, Map<string, Op>>;

/**
 * What some buckets held at a revision after a snapshot: their blobs, with what pieces of the chain changed since. That it is right
 * is for the caller to prove, by the sums of that revision.
 */
export class Mending {
  constructor(
    private readonly fetcher: ObjectFetcher,
    private readonly snapshot: VerifiedSnapshot,
    private readonly buckets: readonly number[],
  ) {}

  /** @param pieces from the snapshot's revision to the wanted one @throws CatchUpError */
  async changes(pieces: readonly Wayside[], trusted: TrustedKeys, signal: AbortSignal): Promise<Changes> {
    const changes: Changes = new Map(this.buckets.map((bucket) => [bucket, new Map()]));
    for await (const { want, bytes } of this.fetcher.inOrder(pieces, signal)) {
      try {
        const reader = this.#read(want.piece, bytes, trusted);
        for (let op = reader.next(); op; op = reader.next()) {
          const { table, key, value } = op;
          // copies, so that a segment does not stay for the few that are of interest
          const kept = { table, key: Buffer.from(key), value: value && Buffer.from(value) };
          changes.get(bucketOf(table, key))?.set(nameOf(op), kept);
        }
      } catch (error) {
        throw CatchUpError.of(want.name, error);
      }
    }
    return changes;
  }

  /** Each bucket's content as a blob. @param sums of the wanted revision */
  async *contents(
    changes: Changes,
    sums: readonly (Buffer | null)[],
    signal: AbortSignal,
  ): AsyncGenerator<{ replaced: ReplacedBucket; bytes: Buffer }> {
    const { environment } = this.snapshot.header;
    const all = this.buckets.map((bucket) => {
      const { bytes, sha256 } = this.snapshot.buckets[bucket] as SnapshotBucket;
      return { bucket, bytes, sha256, name: blobName(environment, sha256.toString('hex')) };
    });
    for (const { bucket } of all.filter(({ bytes }) => bytes === 0)) yield contentOf(bucket, [], changes, sums);
    for await (const { want, bytes } of this.fetcher.inOrder(
      all.filter((blob) => blob.bytes > 0),
      signal,
    )) {
      if (!hash('sha256', bytes, 'buffer').equals(want.sha256))
        throw new CatchUpError(want.name, 'bad_hash', 'it does not have the hash that is its name');
      yield contentOf(want.bucket, decodeBlob(bytes), changes, sums);
    }
  }

  #read({ index, level }: Piece, bytes: Buffer, trusted: TrustedKeys): BodyReader {
    const { environment } = this.snapshot.header;
    if (level === 0) {
      return new BodyReader(verifyAlone(bytes, environment, index + 1, trusted).body);
    }
    const { body, header } = verifySegment(bytes, environment, trusted);
    if (header.level !== level || header.index !== index)
      throw new FormatError('wrong_revision', `it is segment ${header.index} of level ${header.level}`);
    return new BodyReader(body, LIMITS.segmentOps);
  }
}

function contentOf(
  bucket: number,
  entries: readonly Entry[],
  changes: Changes,
  sums: readonly (Buffer | null)[],
): { replaced: ReplacedBucket; bytes: Buffer } {
  const content = new Map<string, Op>(entries.map((entry) => [nameOf(entry), entry]));
  for (const [name, op] of changes.get(bucket) ?? []) content.set(name, op);
  const left = [...content.values()].filter((op): op is Entry => op.value !== null);
  const bytes = left.length === 0 ? Buffer.alloc(0) : encodeBlob(left);
  const sum = sums[bucket] ?? Buffer.alloc(32);
  return { bytes, replaced: { bucket, sum, sha256: hash('sha256', bytes, 'buffer'), bytes: bytes.length } };
}

function nameOf({ key, table }: { table: number; key: Buffer }): string {
  return `${table} ${key.toString('latin1')}`;
}
