import { hash } from 'node:crypto';
import type { Op } from '#model';
import type { Signer, TrustedKeys } from '../chain/signing.js';
import { encodeBody } from '../format/body.js';
import { FormatError, LIMITS } from '../format/limits.js';
import { maxFormBytes, type SignedForm, sealForm, verifyForm } from '../format/signed-form.js';

/** A segment of a level covers this many of the level below; level 0 are the revisions themselves. */
export const SEGMENT_FAN = 64;
export const SEGMENT_LEVELS = 3;

/*
 * offset  bytes  field of its own, "HGS1"      (see signed-form.ts for what is around them)
 *      0      1  level
 *      1      6  index
 *      7      4  epoch of its last revision
 *     11     32  hash of its last revision
 *     43     32  state root after it
 *     75      6  when its last revision was issued, milliseconds since 1970
 *     81      4  body length
 *     85     32  SHA-256 of the body
 */
const FORM: SignedForm = { magic: 'HGS1', what: 'a segment', fields: 117 };
/** bytes that a body may have, whatever the environment's id */
export const MAX_SEGMENT_BODY = LIMITS.segmentBytes - maxFormBytes(FORM);

/** What a segment says of its last revision, and which ones it covers. */
export interface SegmentPlace {
  environment: string;
  /** 1 to 3 */
  level: number;
  index: number;
  epoch: number;
  /** 32 bytes */
  hash: Buffer;
  /** 32 bytes */
  root: Buffer;
  /** milliseconds since 1970 */
  issuedAt: number;
}

export interface SegmentHeader extends SegmentPlace {
  /** the first and the last revision that it covers */
  first: number;
  last: number;
  keyId: Buffer;
}

/** A segment whose signature, length and hash were checked. Its ops are not parsed yet. */
export interface VerifiedSegment {
  header: SegmentHeader;
  body: Buffer;
}

/** How many revisions a segment of a level covers. */
export function segmentSpan(level: number): number {
  return SEGMENT_FAN ** level;
}

/** The revisions that a segment covers, both included. */
export function segmentRange(level: number, index: number): { first: number; last: number } {
  const span = segmentSpan(level);
  return { first: index * span + 1, last: (index + 1) * span };
}

/**
 * @param ops the last change of each entry that the revisions changed, tombstones included, in any order
 * @throws FormatError `too_large` where no reader would accept it
 */
export function sealSegment(place: SegmentPlace, ops: readonly Op[], signer: Signer): Buffer {
  const body = encodeBody(ops, LIMITS.segmentOps);
  return sealSegmentBody(place, { bytes: body, sha256: hash('sha256', body, 'buffer') }, signer);
}

/** As `sealSegment`, of a body that was encoded and hashed elsewhere. */
export function sealSegmentBody(place: SegmentPlace, body: { bytes: Buffer; sha256: Buffer }, signer: Signer): Buffer {
  if (body.bytes.length > MAX_SEGMENT_BODY)
    throw new FormatError('too_large', `a body of ${body.bytes.length} bytes is larger than ${MAX_SEGMENT_BODY}`);
  const fields = Buffer.alloc(FORM.fields);
  fields.writeUInt8(place.level, 0);
  fields.writeUIntBE(place.index, 1, 6);
  fields.writeUInt32BE(place.epoch, 7);
  place.hash.copy(fields, 11);
  place.root.copy(fields, 43);
  fields.writeUIntBE(place.issuedAt, 75, 6);
  fields.writeUInt32BE(body.bytes.length, 81);
  body.sha256.copy(fields, 85);
  return Buffer.concat([sealForm(FORM, place.environment, fields, signer), body.bytes]);
}

/**
 * Checks bytes from anywhere: header's form, key, signature, environment, reader version, and at last the body's length and hash.
 * Which segment it is, and whether its last revision is one to go to, is for the caller to compare.
 *
 * @throws FormatError with the first thing that is wrong
 */
export function verifySegment(bytes: Buffer, environment: string, trusted: TrustedKeys): VerifiedSegment {
  const { fields, keyId, length } = verifyForm(FORM, bytes, environment, trusted);
  const level = fields.readUInt8(0);
  const index = fields.readUIntBE(1, 6);
  if (level < 1 || level > SEGMENT_LEVELS) throw new FormatError('malformed', `level ${level} of a segment`);
  const { first, last } = segmentRange(level, index);
  if (!Number.isSafeInteger(last)) throw new FormatError('malformed', `index ${index} of a segment of level ${level}`);
  const bodyLength = fields.readUInt32BE(81);
  if (bodyLength > MAX_SEGMENT_BODY)
    throw new FormatError('too_large', `a body of ${bodyLength} bytes is larger than ${MAX_SEGMENT_BODY}`);
  if (bytes.length !== length + bodyLength)
    throw new FormatError('truncated', `the body has ${bytes.length - length} bytes instead of ${bodyLength}`);
  const body = bytes.subarray(length);
  if (!hash('sha256', body, 'buffer').equals(fields.subarray(85, 117)))
    throw new FormatError('bad_hash', 'the body does not have the hash that the header says');
  const header = {
    environment,
    level,
    index,
    first,
    last,
    epoch: fields.readUInt32BE(7),
    hash: fields.subarray(11, 43),
    root: fields.subarray(43, 75),
    issuedAt: fields.readUIntBE(75, 6),
    keyId,
  };
  return { header, body };
}
