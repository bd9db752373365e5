import { decodeHeader, type TrustedKeys, type VerifiedRevision, verifyRevision } from '#artifacts';

/** One revision without those around it: its epoch, and what it names as the one before it, are taken as given. @throws FormatError */
export function verifyAlone(
  bytes: Buffer,
  environment: string,
  revision: number,
  trusted: TrustedKeys,
): VerifiedRevision {
  const { previous } = decodeHeader(bytes).header;
  return verifyRevision(bytes, { environment, epoch: 0, revision: revision - 1, hash: previous }, trusted);
}
