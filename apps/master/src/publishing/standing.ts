import { sealHead, type Signer, StateRoot } from '#artifacts';
import type { Query } from './options.js';

/** Where a chain stands: what a head says. */
export interface Standing {
  environment: string;
  /** of the newest term of office that was let publish; may be newer than the newest revision's */
  epoch: number;
  revision: number;
  /** 32 bytes each */
  hash: Buffer;
  root: Buffer;
  /** the newest that is in the store whole; bytes: manifest and blobs */
  snapshot: { revision: number; bytes: number } | null;
}

/** A head counts as fresh for so long after its master knew it to be the newest. */
const FRESH_MS = 90_000;

/** Where the chain stands in PostgreSQL. Null while nobody has taken office there, and for what is no environment. */
export async function readStanding(query: Query, environment: string): Promise<Standing | null> {
  const [row] = await query<StandingRow>(STANDING, [environment]);
  if (!row) return null;
  const { epoch, hash, root, snapshot, snapshot_bytes: bytes } = row;
  return {
    environment,
    epoch,
    revision: Number(row.revision),
    hash,
    root: root ?? StateRoot.empty().root(),
    snapshot: snapshot === null ? null : { revision: Number(snapshot), bytes: Number(bytes) },
  };
}

/** @param knownAt when the standing was known to be the newest, in milliseconds since 1970 @returns the bytes of a head */
export function signHead(standing: Standing, knownAt: number, signer: Signer): Buffer {
  const { environment, epoch, revision, hash, root, snapshot } = standing;
  const where = { environment, epoch, revision, hash: hash.toString('hex'), root: root.toString('hex') };
  const named = snapshot && { revision: snapshot.revision, bytes: snapshot.bytes };
  return sealHead({ ...where, snapshot: named, issuedAt: knownAt, expiresAt: knownAt + FRESH_MS }, signer);
}

interface StandingRow {
  epoch: number;
  revision: string;
  hash: Buffer;
  root: Buffer | null;
  snapshot: string | null;
  snapshot_bytes: string | null;
}

const STANDING = `
  SELECT c.entered_epoch AS epoch, c.revision, c.hash, c.root, s.revision AS snapshot, s.bytes AS snapshot_bytes
  FROM chain c LEFT JOIN LATERAL (
    SELECT revision, bytes FROM store_snapshot WHERE environment_id = c.environment_id AND revision <= c.revision ORDER BY revision DESC LIMIT 1
  ) AS s ON true
  WHERE c.environment_id = $1 AND c.entered_epoch > 0`;
