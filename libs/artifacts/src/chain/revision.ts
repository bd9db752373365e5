import { hash } from 'node:crypto';
import type { Op } from '#model';
import { decodeBody, encodeBody } from '../format/body.js';
import { decodeHeader, encodeSigned, HASH_BYTES, READER_VERSION, type RevisionHeader } from '../format/header.js';
import { FormatError, LIMITS } from '../format/limits.js';
import type { VerifiedSegment } from '../segments/segment.js';
import type { Signer, TrustedKeys } from './signing.js';

/** Where a chain stands: what the next revision has to fit on. */
export interface ChainPosition {
  environment: string;
  epoch: number;
  /** 0: nothing yet */
  revision: number;
  /** 32 bytes; zeros for nothing yet */
  hash: Buffer;
}

export const GENESIS_HASH = Buffer.alloc(HASH_BYTES);

export interface SealedRevision {
  header: RevisionHeader;
  /** 32 bytes: the name of this revision for the next one, over everything that is signed */
  hash: Buffer;
  /** header, signature and body: the exact bytes that are stored and passed on */
  bytes: Buffer;
}

/**
 * Makes the revision after `position`.
 *
 * @param root the state root after `ops`
 * @param issuedAt milliseconds since 1970
 */
export function sealRevision(
  position: ChainPosition,
  ops: readonly Op[],
  root: Buffer,
  issuedAt: number,
  signer: Signer,
): SealedRevision {
  const body = encodeBody(ops);
  const header: RevisionHeader = {
    minReader: 1,
    environment: position.environment,
    epoch: position.epoch,
    revision: position.revision + 1,
    previous: position.hash,
    bodyLength: body.length,
    bodyHash: hash('sha256', body, 'buffer'),
    root,
    issuedAt,
    keyId: signer.keyId,
  };
  const signed = encodeSigned(header);
  return { header, hash: hash('sha256', signed, 'buffer'), bytes: Buffer.concat([signed, signer.sign(signed), body]) };
}

/** A revision whose place, signature, length and hash were checked. Its ops are not parsed yet. */
export interface VerifiedRevision extends SealedRevision {
  body: Buffer;
}

/**
 * Checks bytes from anywhere against a position, in an order in which nothing is believed too early: header's form,
 * key, signature, environment, epoch, number, previous hash, reader version, and at last the body's length and hash.
 * Only then may the body be parsed (`opsOf`).
 *
 * @throws FormatError with the first thing that is wrong
 */
export function verifyRevision(bytes: Buffer, position: ChainPosition, trusted: TrustedKeys): VerifiedRevision {
  const { header, signed, signature, length } = decodeHeader(bytes);
  if (!trusted.has(header.keyId))
    throw new FormatError(
      'untrusted_key',
      `it is signed by the key ${header.keyId.toString('hex')}, which is not trusted here`,
    );
  if (!trusted.verify(header.keyId, signed, signature))
    throw new FormatError('bad_signature', 'the signature does not fit the header');
  checkPlace(header, position);
  if (header.minReader > READER_VERSION)
    throw new FormatError(
      'reader_too_old',
      `it needs reader version ${header.minReader}; this build has ${READER_VERSION}`,
    );
  if (bytes.length !== length + header.bodyLength)
    throw new FormatError('truncated', `the body has ${bytes.length - length} bytes instead of ${header.bodyLength}`);
  const body = bytes.subarray(length);
  if (!hash('sha256', body, 'buffer').equals(header.bodyHash))
    throw new FormatError('bad_hash', 'the body does not have the hash that the header says');
  return { header, hash: hash('sha256', signed, 'buffer'), bytes, body };
}

function checkPlace(header: RevisionHeader, position: ChainPosition): void {
  if (header.environment !== position.environment)
    throw new FormatError(
      'wrong_environment',
      `it belongs to the environment ${header.environment}, not ${position.environment}`,
    );
  if (header.epoch < position.epoch)
    throw new FormatError('older_epoch', `its epoch ${header.epoch} is older than ${position.epoch}`);
  if (header.revision !== position.revision + 1)
    throw new FormatError(
      'wrong_revision',
      `it is revision ${header.revision}; the next one is ${position.revision + 1}`,
    );
  if (!header.previous.equals(position.hash))
    throw new FormatError('wrong_previous', `it does not continue revision ${position.revision} as it is known here`);
}

/** The ops of a verified revision or segment. @throws FormatError */
export function opsOf({ header, body }: VerifiedRevision | VerifiedSegment): Op[] {
  return decodeBody(body, 'level' in header ? LIMITS.segmentOps : LIMITS.ops);
}

export function positionAfter(revision: SealedRevision): ChainPosition {
  const { environment, epoch, revision: number } = revision.header;
  return { environment, epoch, revision: number, hash: revision.hash };
}
