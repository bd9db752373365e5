import { releaseName, type Signer } from '#artifacts';
import { canonicalJson } from '#platform';

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
