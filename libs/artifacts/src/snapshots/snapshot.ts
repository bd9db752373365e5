import { hash } from 'node:crypto';
import type { Signer, TrustedKeys } from '../chain/signing.js';
import { BUCKETS } from '../chain/state-root.js';
import { FormatError, LIMITS } from '../format/limits.js';
import { type SignedForm, sealForm, verifyForm } from '../format/signed-form.js';

/*
 * offset  bytes  field of its own, "HGM1"      (see signed-form.ts for what is around them)
 *      0      4  epoch
 *      4      6  revision
 *     10     32  hash of the revision
 *     42     32  state root after it
 *     74      6  when it was issued, milliseconds since 1970
 *     80     32  SHA-256 of the table
 *
 * table = for each of the 1,024 buckets: sum 32, SHA-256 of the blob 32, bytes of the blob 4; zeros for one without entries
 */
const FORM: SignedForm = { magic: 'HGM1', what: 'a snapshot', fields: 112 };
const ROW = 68;
const TABLE = BUCKETS * ROW;

/** Which revision's state a snapshot is. */
export interface SnapshotPlace {
  environment: string;
  epoch: number;
  revision: number;
  /** 32 bytes */
  hash: Buffer;
  /** 32 bytes */
  root: Buffer;
  /** milliseconds since 1970, of the revision */
  issuedAt: number;
}

export interface SnapshotBucket {
  /** 32 bytes; see StateRoot */
  sum: Buffer;
  /** 32 bytes: the name of the blob */
  sha256: Buffer;
  /** of the blob; 0: there is none, as the bucket has no entries */
  bytes: number;
}

export interface SnapshotHeader extends SnapshotPlace {
  keyId: Buffer;
}

export interface VerifiedSnapshot {
  header: SnapshotHeader;
  /** all 1,024 of them */
  buckets: SnapshotBucket[];
}

/** The manifest's bytes. @param buckets all 1,024 of them */
export function sealSnapshot(place: SnapshotPlace, buckets: readonly SnapshotBucket[], signer: Signer): Buffer {
  if (buckets.length !== BUCKETS) throw new RangeError(`${buckets.length} buckets instead of ${BUCKETS}`);
  const table = Buffer.alloc(TABLE);
  buckets.forEach(({ sum, sha256, bytes }, bucket) => {
    sum.copy(table, bucket * ROW);
    sha256.copy(table, bucket * ROW + 32);
    table.writeUInt32BE(bytes, bucket * ROW + 64);
  });
  const fields = Buffer.alloc(FORM.fields);
  fields.writeUInt32BE(place.epoch, 0);
  fields.writeUIntBE(place.revision, 4, 6);
  place.hash.copy(fields, 10);
  place.root.copy(fields, 42);
  fields.writeUIntBE(place.issuedAt, 74, 6);
  hash('sha256', table, 'buffer').copy(fields, 80);
  return Buffer.concat([sealForm(FORM, place.environment, fields, signer), table]);
}

/**
 * Checks a manifest from anywhere: header's form, key, signature, environment, reader version, the table's length and hash,
 * and that the sums are those of the root. Which revision it is of is for the caller to compare.
 *
 * @throws FormatError with the first thing that is wrong
 */
export function verifySnapshot(bytes: Buffer, environment: string, trusted: TrustedKeys): VerifiedSnapshot {
  const { fields, keyId, length } = verifyForm(FORM, bytes, environment, trusted);
  if (bytes.length !== length + TABLE)
    throw new FormatError('truncated', `the table has ${bytes.length - length} bytes instead of ${TABLE}`);
  const table = bytes.subarray(length);
  if (!hash('sha256', table, 'buffer').equals(fields.subarray(80, 112)))
    throw new FormatError('bad_hash', 'the table does not have the hash that the header says');
  const buckets = Array.from({ length: BUCKETS }, (_, bucket) => rowOf(table, bucket));
  const root = fields.subarray(42, 74);
  const sums = Buffer.concat(buckets.map(({ sum }) => sum));
  if (!hash('sha256', sums, 'buffer').equals(root))
    throw new FormatError('wrong_root', 'the sums of its buckets do not give the root that the header says');
  const header = {
    environment,
    epoch: fields.readUInt32BE(0),
    revision: fields.readUIntBE(4, 6),
    hash: fields.subarray(10, 42),
    root,
    issuedAt: fields.readUIntBE(74, 6),
    keyId,
  };
  return { header, buckets };
}

const ZEROS = Buffer.alloc(64);

function rowOf(table: Buffer, bucket: number): SnapshotBucket {
  const row = table.subarray(bucket * ROW, (bucket + 1) * ROW);
  const bytes = row.readUInt32BE(64);
  if (bytes > LIMITS.blobBytes)
    throw new FormatError('too_large', `a blob of ${bytes} bytes is larger than ${LIMITS.blobBytes}`);
  if (bytes === 0 && !row.subarray(0, 64).equals(ZEROS))
    throw new FormatError('malformed', `bucket ${bucket} has a sum and no blob`);
  return { sum: row.subarray(0, 32), sha256: row.subarray(32, 64), bytes };
}

/** Bytes that a reader with nothing has to fetch: the manifest and its blobs, each once. */
export function snapshotBytes(manifestBytes: number, buckets: readonly SnapshotBucket[]): number {
  const blobs = new Map(buckets.map(({ sha256, bytes }) => [sha256.toString('hex'), bytes]));
  return manifestBytes + [...blobs.values()].reduce((sum, bytes) => sum + bytes, 0);
}
