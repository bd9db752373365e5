import { hash } from 'node:crypto';
import type { Op } from '#model';
import { type Head, sealHead } from '../chain/head.js';
import {
  type ChainPosition,
  GENESIS_HASH,
  positionAfter,
  type SealedRevision,
  sealRevision,
} from '../chain/revision.js';
import { newSigningKeyPem, type Signer, signerFromPem } from '../chain/signing.js';
import { BUCKETS, bucketOf, StateRoot } from '../chain/state-root.js';
import { decodeBody } from '../format/body.js';
import { encodeSigned, type RevisionHeader } from '../format/header.js';
import { SEGMENT_LEVELS, sealSegment, segmentRange } from '../segments/segment.js';
import { type Entry, encodeBlob } from '../snapshots/blob.js';
import { sealSnapshot } from '../snapshots/snapshot.js';
import { type ArtifactStore, blobName, deltaName, headName, segmentName, snapshotName } from '../store/index.js';

/** How long a head counts as fresh, in milliseconds. */
const FRESH_MS = 90_000;

/** A chain as a master makes it, without one: it keeps the state, seals revisions and heads, and writes them to a store. */
export class ChainMaker {
  readonly signer: Signer;
  position: ChainPosition;
  /** the newest one that was put into a store; a head names it */
  snapshot: Head['snapshot'] = null;
  private root = StateRoot.empty();
  private readonly values = new Map<string, Buffer>();
  private readonly revisions: SealedRevision[] = [];

  constructor(environment = 'prod', epoch = 1, signer = signerFromPem(newSigningKeyPem())) {
    this.signer = signer;
    this.position = { environment, epoch, revision: 0, hash: GENESIS_HASH };
  }

  /** Every entry that the chain holds now, table and key in hexadecimal. */
  get entries(): ReadonlyMap<string, Buffer> {
    return this.values;
  }

  /** The next revision; `header` overrides what a right one would say, for wrong ones. */
  seal(ops: readonly Op[], issuedAt = Date.now(), header: Partial<RevisionHeader> = {}): SealedRevision {
    for (const { table, key, value } of ops) {
      const name = entryNameOf(table, key);
      this.root.change(table, key, this.values.get(name) ?? null, value);
      if (value) this.values.set(name, value);
      else this.values.delete(name);
    }
    const right = sealRevision(this.position, ops, this.root.root(), issuedAt, this.signer);
    const sealed = Object.keys(header).length > 0 ? resealed(right, header, this.signer) : right;
    this.position = positionAfter(sealed);
    this.revisions.push(sealed);
    return sealed;
  }

  /** A head that names the newest revision, or what `fields` say. */
  head(fields: Partial<Head> = {}): Buffer {
    const { environment, epoch, revision, hash: chainHash } = this.position;
    const { snapshot, issuedAt = Date.now(), ...others } = fields;
    const right = {
      environment,
      epoch,
      revision,
      hash: chainHash.toString('hex'),
      root: this.root.root().toString('hex'),
    };
    const times = { issuedAt, expiresAt: issuedAt + FRESH_MS };
    return sealHead(
      { ...right, ...times, ...others, snapshot: snapshot === undefined ? this.snapshot : snapshot },
      this.signer,
    );
  }

  /** Seals, and writes the delta, then the head, as a publisher does. */
  async publish(store: ArtifactStore, ops: readonly Op[]): Promise<SealedRevision> {
    const sealed = this.seal(ops);
    await store.create(deltaName(this.position.environment, sealed.header.revision), sealed.bytes);
    await this.putHead(store);
    return sealed;
  }

  /** The segment of revisions that were sealed already. */
  segment(level: number, index: number): Buffer {
    const { first, last } = segmentRange(level, index);
    const covered = this.revisions.slice(first - 1, last);
    const newest = covered.at(-1);
    if (newest?.header.revision !== last) throw new RangeError(`revisions ${first} to ${last} are not there yet`);
    const ops = new Map<string, Op>();
    for (const { header, bytes } of covered) {
      const body = bytes.subarray(bytes.length - header.bodyLength);
      for (const op of decodeBody(body)) ops.set(entryNameOf(op.table, op.key), op);
    }
    const { environment, epoch, root, issuedAt } = newest.header;
    const place = { environment, level, index, epoch, hash: newest.hash, root, issuedAt };
    return sealSegment(place, [...ops.values()], this.signer);
  }

  /** Writes every segment that is complete. @returns their names */
  async putSegments(store: ArtifactStore): Promise<string[]> {
    const names: string[] = [];
    for (let level = 1; level <= SEGMENT_LEVELS; level++) {
      for (let index = 0; segmentRange(level, index).last <= this.position.revision; index++) {
        const name = segmentName(this.position.environment, level, index);
        await store.create(name, this.segment(level, index));
        names.push(name);
      }
    }
    return names;
  }

  /** The manifest of the state at the newest revision, and its blobs by their names. */
  sealSnapshot(): { manifest: Buffer; blobs: Map<string, Buffer> } {
    const newest = this.revisions.at(-1);
    if (!newest) throw new RangeError('there is no revision yet');
    const { environment, epoch, revision, root, issuedAt } = newest.header;
    const contents: Entry[][] = Array.from({ length: BUCKETS }, () => []);
    for (const [name, value] of this.values) {
      const [table = 0, ...key] = Buffer.from(name, 'hex');
      contents[bucketOf(table, Buffer.from(key))]?.push({ table, key: Buffer.from(key), value });
    }
    const blobs = new Map<string, Buffer>();
    const buckets = contents.map((entries, bucket) => {
      const sum = this.root.sum(bucket);
      if (entries.length === 0) return { sum, sha256: Buffer.alloc(32), bytes: 0 };
      const blob = encodeBlob(entries);
      const sha256 = hash('sha256', blob, 'buffer');
      blobs.set(blobName(environment, sha256.toString('hex')), blob);
      return { sum, sha256, bytes: blob.length };
    });
    const place = { environment, epoch, revision, hash: newest.hash, root, issuedAt };
    return { manifest: sealSnapshot(place, buckets, this.signer), blobs };
  }

  /** Writes the blobs, the manifest, and a head that names it. @returns the names of the blobs */
  async putSnapshot(store: ArtifactStore): Promise<string[]> {
    const { manifest, blobs } = this.sealSnapshot();
    for (const [name, blob] of blobs) await store.create(name, blob);
    const { environment, revision } = this.position;
    await store.create(snapshotName(environment, revision), manifest);
    const bytes = [...blobs.values()].reduce((sum, blob) => sum + blob.length, manifest.length);
    this.snapshot = { revision, bytes };
    await this.putHead(store);
    return [...blobs.keys()];
  }

  async putHead(store: ArtifactStore, head = this.head()): Promise<void> {
    const name = headName(this.position.environment);
    const current = await store.get(name, Number.MAX_SAFE_INTEGER);
    await store.replace(name, head, current?.etag ?? null);
  }
}

export function entryNameOf(table: number, key: Buffer): string {
  return Buffer.concat([Buffer.of(table), key]).toString('hex');
}

function resealed({ header, bytes }: SealedRevision, changes: Partial<RevisionHeader>, signer: Signer): SealedRevision {
  const changed = { ...header, ...changes };
  const signed = encodeSigned(changed);
  const body = bytes.subarray(bytes.length - header.bodyLength);
  return {
    header: changed,
    hash: hash('sha256', signed, 'buffer'),
    bytes: Buffer.concat([signed, signer.sign(signed), body]),
  };
}
