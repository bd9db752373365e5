import { hash } from 'node:crypto';
import { canonicalJson } from '#platform';
import { z } from 'zod';
import { KEY_ID_LENGTH, SIGNATURE_BYTES } from '../format/header.js';
import { FormatError } from '../format/limits.js';
import { releaseName } from '../store/names.js';
import type { Signer, TrustedKeys } from './signing.js';

/** What a release came onto a chain with. */
export interface PublishedRelease {
  environment: string;
  /** hexadecimal */
  digest: string;
  definition: { name: string; version: string };
  /** null where the master's database does not know the release any more */
  createdAt: string | null;
  createdBy: string | null;
  revision: number;
  publishedAt: string;
}

/** Set before the text that is signed, so that a signature of a release is never one of something else. */
const CONTEXT = 'heliograph release 1\n';

/** The promoted artifact, for people: indented JSON, with a signature over the canonical JSON of all other fields. */
export function releaseArtifact(release: PublishedRelease, signer: Signer): { name: string; bytes: Buffer } {
  const { environment, definition, digest } = release;
  const fields = { format: 1, ...release, keyId: signer.keyId.toString('hex') };
  const signature = signer.sign(Buffer.from(CONTEXT + canonicalJson(fields))).toString('hex');
  return {
    name: releaseName(environment, definition.name, definition.version, digest),
    bytes: Buffer.from(`${JSON.stringify({ ...fields, signature }, null, 2)}\n`),
  };
}

const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));
const signed = z.looseObject({
  format: z.literal(1),
  environment: z.string(),
  digest: hex(32),
  definition: z.unknown(),
  keyId: hex(KEY_ID_LENGTH),
  signature: hex(SIGNATURE_BYTES),
});

/**
 * That an artifact is the one of this release, and who has signed it.
 *
 * @param digest hexadecimal
 * @throws FormatError
 */
export function verifyReleaseArtifact(bytes: Buffer, environment: string, digest: string, trusted: TrustedKeys): void {
  const { signature, ...fields } = readArtifact(bytes);
  if (fields.environment !== environment || fields.digest !== digest)
    throw new FormatError('bad_hash', `it is the release ${fields.digest} of ${fields.environment}`);
  const keyId = Buffer.from(fields.keyId, 'hex');
  if (!trusted.has(keyId))
    throw new FormatError('untrusted_key', `it is signed by the key ${fields.keyId}, which is not trusted here`);
  const { text, definition } = canonical(fields);
  if (!trusted.verify(keyId, Buffer.from(CONTEXT + text), Buffer.from(signature, 'hex')))
    throw new FormatError('bad_signature', 'the signature does not fit');
  if (hash('sha256', definition) !== digest)
    throw new FormatError('bad_hash', 'its definition has another digest than it says');
}

function readArtifact(bytes: Buffer): z.infer<typeof signed> {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new FormatError('malformed', 'it is not JSON');
  }
  const parsed = signed.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new FormatError('malformed', `it is not as it should be: ${parsed.error.issues[0]?.path.join('.')}`);
}

/** What nobody of ours has written may be nested too deeply, or have half a character in it. */
function canonical(fields: { definition: unknown }): { text: string; definition: string } {
  try {
    return { text: canonicalJson(fields), definition: canonicalJson(fields.definition) };
  } catch (error) {
    throw new FormatError('malformed', `it has no canonical JSON: ${(error as Error).message}`);
  }
}
