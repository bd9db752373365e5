import { hash } from 'node:crypto';
import {
  type ArtifactReader,
  type ArtifactStore,
  blobName,
  decodeBlob,
  decodeHeader,
  decodeBody,
  deltaName,
  type Head,
  headName,
  LIMITS,
  opsOf,
  segmentName,
  segmentRange,
  snapshotName,
  StateRoot,
  TrustedKeys,
  verifyHead,
  verifySegment,
  verifySnapshot,
} from '#artifacts';
import type { Op } from '#model';
import { signer } from './publishing-master.js';

const trusted = new TrustedKeys([signer.publicKey]);

/** Reads a chain out of a store as a replica with nothing does: the snapshot of the head, then the deltas. */
export class StoreReader {
  readonly values = new Map<string, Buffer>();
  private readonly sums = StateRoot.empty();
  revision = 0;

  constructor(
    private readonly store: ArtifactReader,
    private readonly environment = 'prod',
  ) {}

  async head(): Promise<Head> {
    const object = await this.store.get(headName(this.environment), LIMITS.headBytes);
    if (!object) throw new Error('the store has no head');
    return verifyHead(object.bytes, this.environment, trusted);
  }

  /** @param pause called after each object @returns the state root, in hexadecimal, which was compared with the head's */
  async follow(head: Head, pause: () => Promise<void> = () => Promise.resolve()): Promise<string> {
    if (head.snapshot) await this.takeSnapshot(head.snapshot, pause);
    while (this.revision < head.revision) {
      const delta = await this.read(deltaName(this.environment, this.revision + 1), LIMITS.bodyBytes);
      this.apply(decodeBody(delta.subarray(decodeHeader(delta).length)));
      this.revision += 1;
      await pause();
    }
    const root = this.sums.root().toString('hex');
    if (root !== head.root) throw new Error(`the root is ${root} instead of ${head.root}`);
    return root;
  }

  private async takeSnapshot(named: NonNullable<Head['snapshot']>, pause: () => Promise<void>): Promise<void> {
    const manifest = await this.read(snapshotName(this.environment, named.revision), LIMITS.manifestBytes);
    const { header, buckets } = verifySnapshot(manifest, this.environment, trusted);
    let bytes = manifest.length;
    for (const bucket of buckets) {
      if (bucket.bytes === 0) continue;
      const blob = await this.read(blobName(this.environment, bucket.sha256.toString('hex')), bucket.bytes);
      if (!hash('sha256', blob, 'buffer').equals(bucket.sha256)) throw new Error('a blob is not what its name says');
      this.apply(decodeBlob(blob));
      bytes += blob.length;
      await pause();
    }
    if (bytes !== named.bytes) throw new Error(`the snapshot has ${bytes} bytes, and the head says ${named.bytes}`);
    if (!this.sums.root().equals(header.root)) throw new Error('the blobs do not give the root of the manifest');
    this.revision = header.revision;
  }

  private apply(ops: readonly Op[]): void {
    for (const { table, key, value } of ops) {
      const name = `${table} ${key.toString('hex')}`;
      this.sums.change(table, key, this.values.get(name) ?? null, value);
      if (value) this.values.set(name, value);
      else this.values.delete(name);
    }
  }

  private async read(name: string, limit: number): Promise<Buffer> {
    const object = await this.store.get(name, limit);
    if (!object) throw new Error(`${name} is not in the store`);
    return object.bytes;
  }
}

/** Names of all objects of one kind. */
export function namesOf(store: ArtifactStore, kind: string): Promise<string[]> {
  return store.list(`prod/${kind}`, '', 100_000);
}

/** The changes of a segment that is in the store. */
export async function segmentOps(store: ArtifactStore, level: number, index: number): Promise<Op[]> {
  const object = await store.get(segmentName('prod', level, index), LIMITS.segmentBytes);
  if (!object) throw new Error(`segment ${level}/${index} is not in the store`);
  const segment = verifySegment(object.bytes, 'prod', trusted);
  if (segment.header.last !== segmentRange(level, index).last) throw new Error('it is another segment');
  return opsOf(segment);
}
