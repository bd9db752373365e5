import type { Signer, TrustedKeys } from '../chain/signing.js';
import { KEY_ID_LENGTH, MAX_ENVIRONMENT, READER_VERSION, SIGNATURE_BYTES } from './header.js';
import { FormatError } from './limits.js';

/*
 * What every signed object begins with, except revisions, which were first and say the same in the same order:
 *
 * offset     bytes  field                      (integers are big-endian; e = length of the environment's id)
 *      0         4  magic; its last byte is the format's version
 *      4         2  minimum reader version
 *      6       1+e  environment
 *    7+e         f  the object's own fields, of a fixed length
 *  7+e+f         8  id of the signing key
 * 15+e+f        64  Ed25519 signature of everything before it
 */
export interface SignedForm {
  /** four characters */
  magic: string;
  /** for messages: `a segment` */
  what: string;
  /** bytes of the object's own fields */
  fields: number;
}

const ENVIRONMENT_AT = 7;

export function maxFormBytes(form: SignedForm): number {
  return ENVIRONMENT_AT + MAX_ENVIRONMENT + form.fields + KEY_ID_LENGTH + SIGNATURE_BYTES;
}

/** The header with its signature. */
export function sealForm(form: SignedForm, environment: string, fields: Buffer, signer: Signer): Buffer {
  const start = Buffer.alloc(ENVIRONMENT_AT);
  start.write(form.magic, 'latin1');
  start.writeUInt16BE(1, 4);
  start.writeUInt8(environment.length, 6);
  const signed = Buffer.concat([start, Buffer.from(environment, 'latin1'), fields, signer.keyId]);
  return Buffer.concat([signed, signer.sign(signed)]);
}

/**
 * Checks form, key, signature, environment and reader version, in this order; nothing after the header is looked at.
 *
 * @returns the object's own fields, and where the rest begins
 * @throws FormatError with the first thing that is wrong
 */
export function verifyForm(
  form: SignedForm,
  bytes: Buffer,
  environment: string,
  trusted: TrustedKeys,
): { fields: Buffer; keyId: Buffer; length: number } {
  if (bytes.length < ENVIRONMENT_AT)
    throw new FormatError('truncated', `${bytes.length} bytes are too few for ${form.what}`);
  const magic = bytes.toString('latin1', 0, 4);
  if (magic.slice(0, 3) !== form.magic.slice(0, 3))
    throw new FormatError('malformed', `the bytes do not begin like ${form.what}`);
  if (magic !== form.magic)
    throw new FormatError('unknown_format', `format ${magic.slice(3)} of ${form.what} is not known to this build`);
  const e = bytes.readUInt8(6);
  if (e < 1 || e > MAX_ENVIRONMENT) throw new FormatError('malformed', `an environment's id of ${e} bytes`);
  const keyAt = ENVIRONMENT_AT + e + form.fields;
  const signatureAt = keyAt + KEY_ID_LENGTH;
  const length = signatureAt + SIGNATURE_BYTES;
  if (bytes.length < length)
    throw new FormatError('truncated', `the header ends after ${bytes.length} of ${length} bytes`);

  const keyId = bytes.subarray(keyAt, signatureAt);
  if (!trusted.has(keyId))
    throw new FormatError(
      'untrusted_key',
      `it is signed by the key ${keyId.toString('hex')}, which is not trusted here`,
    );
  if (!trusted.verify(keyId, bytes.subarray(0, signatureAt), bytes.subarray(signatureAt, length)))
    throw new FormatError('bad_signature', 'the signature does not fit the header');
  const its = bytes.toString('latin1', ENVIRONMENT_AT, ENVIRONMENT_AT + e);
  if (its !== environment)
    throw new FormatError('wrong_environment', `it belongs to the environment ${its}, not ${environment}`);
  const minReader = bytes.readUInt16BE(4);
  if (minReader > READER_VERSION)
    throw new FormatError('reader_too_old', `it needs reader version ${minReader}; this build has ${READER_VERSION}`);
  return { fields: bytes.subarray(ENVIRONMENT_AT + e, keyAt), keyId, length };
}
