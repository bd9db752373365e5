import { hash } from 'node:crypto';
import {
  type ArtifactReader,
  blobName,
  bucketOf,
  DigestState,
  decodeBlob,
  type Entry,
  FormatError,
  LIMITS,
  snapshotName,
  type SnapshotBucket,
  StateRoot,
  type TrustedKeys,
  type VerifiedSnapshot,
  verifySnapshot,
} from '#artifacts';
import type { ReleaseCheck } from './release-check.js';
import { addFault, addThrown, type ChainReport } from './report.js';

/** Blobs that are asked for ahead. */
const AHEAD = 8;
const NONE = Buffer.alloc(32);

/** Checks snapshots of one environment. A blob that several of them name is read once. */
export class SnapshotCheck {
  /** blobs that were found right, by their SHA-256: the bucket and the sum are those of the content */
  private readonly right = new Set<string>();
  private readonly named = new Set<string>();

  constructor(
    private readonly reader: ArtifactReader,
    private readonly report: ChainReport,
    private readonly signal: AbortSignal,
    private readonly onBytes: (bytes: number) => void,
    private readonly releases: ReleaseCheck,
  ) {}

  /** Whether a manifest that was read has named that blob. */
  names(blob: string): boolean {
    return this.named.has(blob);
  }

  /** The manifest; null where it is missing or wrong, which is noted. */
  async manifest(revision: number, trusted: TrustedKeys): Promise<VerifiedSnapshot | null> {
    const { environment } = this.report;
    const name = snapshotName(environment, revision);
    try {
      const object = await this.reader.get(name, LIMITS.manifestBytes, this.signal);
      if (!object) {
        addFault(this.report, name, 'missing', 'it is not there');
        return null;
      }
      this.onBytes(object.bytes.length);
      const manifest = verifySnapshot(object.bytes, environment, trusted);
      for (const { sha256 } of manifest.buckets) this.named.add(blobName(environment, sha256.toString('hex')));
      if (manifest.header.revision !== revision)
        throw new FormatError('wrong_revision', `it is one of revision ${manifest.header.revision}`);
      return manifest;
    } catch (error) {
      addThrown(this.report, name, error);
      return null;
    }
  }

  /** Reads every blob that was not read before. @returns whether all of them are right */
  async blobs({ header, buckets }: VerifiedSnapshot): Promise<boolean> {
    let whole = true;
    const scratch = StateRoot.empty();
    const unread = buckets
      .map((bucket, at) => ({ bucket, at }))
      .filter(({ bucket: { bytes, sha256 } }) => bytes > 0 && !this.right.has(sha256.toString('hex')));
    for await (const { at, entries } of this.read(unread)) {
      for (const { table, key, value } of entries ?? []) scratch.change(table, key, null, value);
      if (entries && this.fits(header.revision, at, buckets, scratch.sum(at))) this.note(buckets[at]);
      else whole = false;
      scratch.load(at, NONE);
    }
    this.report.snapshots += 1;
    return whole;
  }

  /** The state of a snapshot; null where it is not whole, which is noted. */
  async load({ header, buckets }: VerifiedSnapshot): Promise<DigestState | null> {
    const state = new DigestState();
    let whole = true;
    const all = buckets.map((bucket, at) => ({ bucket, at })).filter(({ bucket }) => bucket.bytes > 0);
    for await (const { at, entries } of this.read(all)) {
      if (entries) state.apply(entries);
      if (entries && this.fits(header.revision, at, buckets, state.sum(at))) this.note(buckets[at]);
      else whole = false;
    }
    this.report.snapshots += 1;
    return whole ? state : null;
  }

  private note(bucket: SnapshotBucket | undefined): void {
    if (!bucket) return;
    const name = bucket.sha256.toString('hex');
    if (!this.right.has(name)) this.report.blobs += 1;
    this.right.add(name);
  }

  private fits(revision: number, at: number, buckets: readonly SnapshotBucket[], sum: Buffer): boolean {
    const bucket = buckets[at];
    if (bucket?.sum.equals(sum)) return true;
    const name = blobName(this.report.environment, bucket?.sha256.toString('hex') ?? '');
    const detail = `its entries are not those of bucket ${at} at revision ${revision}`;
    addFault(this.report, name, 'wrong_sum', detail);
    return false;
  }

  private async *read(
    wanted: readonly { bucket: SnapshotBucket; at: number }[],
  ): AsyncGenerator<{ at: number; entries: Entry[] | null }> {
    const asked: { at: number; answer: Promise<Entry[] | null> }[] = [];
    let next = 0;
    while (next < wanted.length || asked.length > 0) {
      for (; next < wanted.length && asked.length < AHEAD; next += 1) {
        const { at, bucket } = wanted[next] as (typeof wanted)[number];
        const answer = this.entriesOf(bucket, at);
        answer.catch(() => undefined); // told when it is its turn
        asked.push({ at, answer });
      }
      const one = asked.shift();
      if (one) yield { at: one.at, entries: await one.answer };
    }
  }

  private async entriesOf({ bytes, sha256 }: SnapshotBucket, at: number): Promise<Entry[] | null> {
    const { environment } = this.report;
    const name = blobName(environment, sha256.toString('hex'));
    try {
      const object = await this.reader.get(name, LIMITS.blobBytes, this.signal);
      if (!object) {
        addFault(this.report, name, 'missing', 'it is not there, and a snapshot names it');
        return null;
      }
      this.onBytes(object.bytes.length);
      if (object.bytes.length !== bytes || !hash('sha256', object.bytes, 'buffer').equals(sha256))
        throw new FormatError('bad_hash', 'its content is not the one that it is named by');
      const entries = decodeBlob(object.bytes);
      if (entries.some(({ table, key }) => bucketOf(table, key) !== at))
        throw new FormatError('malformed', `it has entries that do not belong into bucket ${at}`);
      this.releases.note(name, entries);
      return entries;
    } catch (error) {
      addThrown(this.report, name, error);
      return null;
    }
  }
}
