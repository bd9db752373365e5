import { blobName, type SnapshotBucket, type VerifiedSnapshot } from '#artifacts';
import { type SnapshotPlan, snapshotPlan } from '../../state/snapshot-plan.js';
import { CatchUpError } from './catch-up-error.js';
import type { ObjectFetcher } from './object-fetcher.js';

/** The blobs of a snapshot that differ, as they come; what has come stays when the source goes away meanwhile. */
export class SnapshotDownload {
  readonly plan: SnapshotPlan;
  readonly #here = new Set<number>();

  /** @param buckets those that differ @param room bytes for what changed later */
  constructor(
    readonly snapshot: VerifiedSnapshot,
    buckets: readonly number[],
    room: number,
  ) {
    const replaced = buckets.map((bucket) => ({ bucket, ...(snapshot.buckets[bucket] as SnapshotBucket) }));
    this.plan = snapshotPlan(snapshot.header, replaced, room);
  }

  /** Whether what was fetched for one is what is needed now. */
  isFor({ header }: VerifiedSnapshot, buckets: readonly number[]): boolean {
    const mine = this.plan.buckets;
    if (!header.hash.equals(this.snapshot.header.hash) || mine.length !== buckets.length) return false;
    return mine.every(({ bucket }, i) => bucket === buckets[i]);
  }

  /** @param filled is told of each blob that lies in the plan's memory @throws CatchUpError that names a blob */
  async fill(fetcher: ObjectFetcher, filled: (bucket: number) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { environment } = this.snapshot.header;
    const wanted = this.plan.buckets
      .filter(({ bytes }) => bytes > 0)
      .map((bucket) => ({ ...bucket, name: blobName(environment, Buffer.from(bucket.sha256).toString('hex')) }));
    const told = async ({ bucket, name }: { bucket: number; name: string }): Promise<void> => {
      try {
        await filled(bucket);
        this.#here.add(bucket);
      } catch (error) {
        throw CatchUpError.of(name, error);
      }
    };
    for (const one of wanted.filter(({ bucket }) => this.#here.has(bucket))) await told(one);
    const missing = wanted.filter(({ bucket }) => !this.#here.has(bucket));
    for await (const { want, bytes } of fetcher.inOrder(missing, signal)) {
      new Uint8Array(this.plan.memory, want.at, want.bytes).set(bytes);
      await told(want);
    }
  }
}
