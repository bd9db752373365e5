import { sealHead, type Signer } from '#artifacts';
import type { Position } from './store-head.js';

const FRESH_MS = 90_000;

export interface HeadFields {
  environment: string;
  epoch: number;
  position: Position;
  /** the newest one that is in the store whole */
  snapshot: { revision: number; bytes: number } | null;
  /** milliseconds since 1970 */
  issuedAt: number;
}

/** The bytes of a head, which counts as fresh for 90 s. */
export function headOf({ environment, epoch, position, snapshot, issuedAt }: HeadFields, signer: Signer): Buffer {
  const { revision, hash, root } = position;
  return sealHead(
    {
      environment,
      epoch,
      revision,
      hash: hash.toString('hex'),
      root: root.toString('hex'),
      snapshot: snapshot && { revision: snapshot.revision, bytes: snapshot.bytes },
      issuedAt,
      expiresAt: issuedAt + FRESH_MS,
    },
    signer,
  );
}
