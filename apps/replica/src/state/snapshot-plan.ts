import { FormatError } from '#artifacts';
import { ownTarget, type Target } from './state-transaction.js';

/** A bucket that is replaced as a whole: what is not in its blob is not in the state afterwards. */
export interface ReplacedBucket {
  bucket: number;
  /** what its entries must add up to, 32 bytes */
  sum: Uint8Array;
  /** of its blob, 32 bytes */
  sha256: Uint8Array;
  /** of its blob; 0: it has no entries, and there is none */
  bytes: number;
}

export interface SnapshotPlan {
  /** what the state is to be afterwards */
  target: Target;
  /** all blobs, one after the other, and then the later changes; both threads see it, so nothing is copied */
  memory: SharedArrayBuffer;
  /** where the blobs end */
  end: number;
  /** `at`: where the blob lies */
  buckets: readonly (ReplacedBucket & { at: number })[];
}

/** Entries are found by 32-bit places. */
const MAX_BYTES = 4 * 1024 ** 3 - 1;

/** @param room bytes for later changes @throws FormatError `too_large` */
export function snapshotPlan(target: Target, buckets: readonly ReplacedBucket[], room = 0): SnapshotPlan {
  let end = 0;
  const places = buckets.map(({ bucket, bytes, sha256, sum }) => {
    const at = end;
    end += bytes;
    return { bucket, bytes, sha256: new Uint8Array(sha256), sum: new Uint8Array(sum), at };
  });
  if (end + room > MAX_BYTES)
    throw new FormatError(
      'too_large',
      `blobs of ${end + room} bytes are more than the ${MAX_BYTES} that can be replaced at once`,
    );
  return { target: ownTarget(target), memory: new SharedArrayBuffer(end + room), end, buckets: places };
}
