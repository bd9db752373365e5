import { sealHead, type Signer } from '#artifacts';
import type { Standing } from './stream-chain.js';

/** A head counts as fresh for so long after its master knew it to be the newest. */
const FRESH_MS = 90_000;

/** @param knownAt when the standing was known to be the newest, in milliseconds since 1970 */
export function liveHead(standing: Standing, knownAt: number, signer: Signer): Buffer {
  const { environment, epoch, revision, hash, root, snapshot } = standing;
  const where = { environment, epoch, revision, hash: hash.toString('hex'), root: root.toString('hex'), snapshot };
  return sealHead({ ...where, issuedAt: knownAt, expiresAt: knownAt + FRESH_MS }, signer);
}
