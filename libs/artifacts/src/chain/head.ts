import { z } from 'zod';
import { canonicalJson, faultsOf } from '#platform';
import { environmentId } from '#model';
import { KEY_ID_LENGTH, SIGNATURE_BYTES } from '../format/header.js';
import { FormatError, LIMITS } from '../format/limits.js';
import type { Signer, TrustedKeys } from './signing.js';

const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

const headFields = z.strictObject({
  format: z.literal(1),
  environment: environmentId,
  epoch: z.int().min(0),
  revision: z.int().min(0),
  hash: hex(32),
  root: hex(32),
  /** the newest one that is complete; bytes: its manifest and all of its blobs. Without one every delta is there */
  snapshot: z.strictObject({ revision: z.int().min(1), bytes: z.int().min(0) }).nullable(),
  /** milliseconds since 1970: when it was signed, and until when it counts as fresh */
  issuedAt: z.int().min(0),
  expiresAt: z.int().min(0),
  keyId: hex(KEY_ID_LENGTH),
});
const signedHead = headFields.extend({ signature: hex(SIGNATURE_BYTES) });

/** The newest pointer of a chain: `<environment>/head.json`. */
export type Head = z.infer<typeof headFields>;

/** Set before the text that is signed, so that a signature of a head is never one of something else. */
const CONTEXT = 'heliograph head 1\n';

export function sealHead(head: Omit<Head, 'format' | 'keyId'>, signer: Signer): Buffer {
  const fields: Head = { format: 1, ...head, keyId: signer.keyId.toString('hex') };
  const signature = signer.sign(Buffer.from(CONTEXT + canonicalJson(fields))).toString('hex');
  return Buffer.from(`${canonicalJson({ ...fields, signature })}\n`);
}

/**
 * @param environment the one whose head this has to be
 * @throws FormatError
 */
export function verifyHead(bytes: Buffer, environment: string, trusted: TrustedKeys): Head {
  if (bytes.length > LIMITS.headBytes)
    throw new FormatError('too_large', `a head of ${bytes.length} bytes is larger than ${LIMITS.headBytes}`);
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new FormatError('malformed', 'the head is not JSON');
  }
  const parsed = signedHead.safeParse(json);
  if (!parsed.success) {
    const [fault] = faultsOf(parsed.error);
    throw new FormatError('malformed', `the head is not as it should be: ${fault?.field} ${fault?.problem}`);
  }
  const { signature, ...fields } = parsed.data;
  if (fields.snapshot && fields.snapshot.revision > fields.revision)
    throw new FormatError(
      'malformed',
      `the head is at revision ${fields.revision}, and its snapshot at ${fields.snapshot.revision}`,
    );
  const keyId = Buffer.from(fields.keyId, 'hex');
  if (!trusted.has(keyId))
    throw new FormatError('untrusted_key', `the head is signed by the key ${fields.keyId}, which is not trusted here`);
  const text = Buffer.from(CONTEXT + canonicalJson(fields));
  if (!trusted.verify(keyId, text, Buffer.from(signature, 'hex')))
    throw new FormatError('bad_signature', 'the signature does not fit the head');
  if (fields.environment !== environment)
    throw new FormatError(
      'wrong_environment',
      `the head belongs to the environment ${fields.environment}, not ${environment}`,
    );
  return fields;
}
