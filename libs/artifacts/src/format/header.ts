import { FormatError, LIMITS } from './limits.js';

/*
 * offset  bytes  field                      (integers are big-endian)
 *      0      4  magic "HGR1"; another format has another magic
 *      4      2  minimum reader version
 *      6      1  length e of the environment's id, then the id
 *    7+e      4  epoch
 *   11+e      6  revision
 *   17+e     32  hash of the previous revision, zeros for the first
 *   49+e      4  body length
 *   53+e     32  SHA-256 of the body
 *   85+e     32  state root after this revision
 *  117+e      6  issued at, milliseconds since 1970
 *  123+e      8  id of the signing key
 *  131+e     64  Ed25519 signature of everything before it
 *  195+e         the body
 */
const MAGIC = Buffer.from('HGR1');
const FIXED = 195;
export const SIGNATURE_BYTES = 64;
export const HASH_BYTES = 32;
export const KEY_ID_LENGTH = 8;
export const MAX_ENVIRONMENT = 32;

/** The largest header: a reader that wants one revision of unknown size may begin with this many bytes. */
export const MAX_HEADER_BYTES = FIXED + MAX_ENVIRONMENT;

/** The newest format of revisions that this build reads. */
export const READER_VERSION = 1;

export interface RevisionHeader {
  minReader: number;
  environment: string;
  epoch: number;
  revision: number;
  /** 32 bytes; of the revision before this one */
  previous: Buffer;
  bodyLength: number;
  bodyHash: Buffer;
  /** 32 bytes; of the state after this revision */
  root: Buffer;
  /** milliseconds since 1970, by the master's clock */
  issuedAt: number;
  keyId: Buffer;
}

/** Everything that the signature covers. */
export function encodeSigned(header: RevisionHeader): Buffer {
  const environment = Buffer.from(header.environment, 'ascii');
  const e = environment.length;
  const bytes = Buffer.alloc(FIXED + e - SIGNATURE_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt16BE(header.minReader, 4);
  bytes.writeUInt8(e, 6);
  environment.copy(bytes, 7);
  bytes.writeUInt32BE(header.epoch, 7 + e);
  bytes.writeUIntBE(header.revision, 11 + e, 6);
  header.previous.copy(bytes, 17 + e);
  bytes.writeUInt32BE(header.bodyLength, 49 + e);
  header.bodyHash.copy(bytes, 53 + e);
  header.root.copy(bytes, 85 + e);
  bytes.writeUIntBE(header.issuedAt, 117 + e, 6);
  header.keyId.copy(bytes, 123 + e);
  return bytes;
}

export interface DecodedHeader {
  header: RevisionHeader;
  /** the bytes that were signed */
  signed: Buffer;
  signature: Buffer;
  /** where the body begins */
  length: number;
}

/**
 * Reads a header, of bytes that may come from anywhere. Nothing in it may be believed before the signature was checked.
 *
 * @throws FormatError
 */
export function decodeHeader(bytes: Buffer): DecodedHeader {
  if (bytes.length < 7) throw new FormatError('truncated', `${bytes.length} bytes are too few for a revision`);
  if (!bytes.subarray(0, 3).equals(MAGIC.subarray(0, 3)))
    throw new FormatError('malformed', 'the bytes do not begin like a revision');
  if (bytes[3] !== MAGIC[3])
    throw new FormatError(
      'unknown_format',
      `format ${String.fromCharCode(bytes[3] ?? 0)} of revisions is not known to this build`,
    );
  const e = bytes.readUInt8(6);
  if (e < 1 || e > MAX_ENVIRONMENT) throw new FormatError('malformed', `an environment's id of ${e} bytes`);
  const length = FIXED + e;
  if (bytes.length < length)
    throw new FormatError('truncated', `the header ends after ${bytes.length} of ${length} bytes`);
  const bodyLength = bytes.readUInt32BE(49 + e);
  if (bodyLength > LIMITS.bodyBytes)
    throw new FormatError('too_large', `a body of ${bodyLength} bytes is larger than ${LIMITS.bodyBytes}`);
  return {
    length,
    signed: bytes.subarray(0, length - SIGNATURE_BYTES),
    signature: bytes.subarray(length - SIGNATURE_BYTES, length),
    header: {
      minReader: bytes.readUInt16BE(4),
      environment: bytes.toString('latin1', 7, 7 + e),
      epoch: bytes.readUInt32BE(7 + e),
      revision: bytes.readUIntBE(11 + e, 6),
      previous: bytes.subarray(17 + e, 49 + e),
      bodyLength,
      bodyHash: bytes.subarray(53 + e, 85 + e),
      root: bytes.subarray(85 + e, 117 + e),
      issuedAt: bytes.readUIntBE(117 + e, 6),
      keyId: bytes.subarray(123 + e, 131 + e),
    },
  };
}
