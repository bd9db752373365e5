import {
  FormatError,
  GENESIS_HASH,
  type Head,
  StateRoot,
  type StoredObject,
  type TrustedKeys,
  verifyHead,
} from '#artifacts';
import type { Query } from '../options.js';

/** A place on a chain: what a head names. */
export interface Position {
  revision: number;
  hash: Buffer;
  root: Buffer;
}

export const GENESIS: Position = { revision: 0, hash: GENESIS_HASH, root: StateRoot.empty().root() };

/** What the store's head says, from the point of view of the master whose database this is. */
export type Meeting =
  | { kind: 'missing' }
  /** it cannot be a head of anybody: nothing is lost by writing over it */
  | { kind: 'damaged'; problem: string }
  | { kind: 'ours'; position: Position; epoch: number; issuedAt: number }
  /** another master was at work, or this database went back in time: nothing may be written over it */
  | { kind: 'foreign'; problem: string }
  /** a newer term of this very database has begun: its leader writes now */
  | { kind: 'successor' };

/** @param epoch of the term that asks */
export async function meetHead(
  object: StoredObject | null,
  environment: string,
  epoch: number,
  trusted: TrustedKeys,
  query: Query,
): Promise<Meeting> {
  if (object === null) return { kind: 'missing' };
  let head: Head;
  try {
    head = verifyHead(object.bytes, environment, trusted);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const readable = error.code === 'untrusted_key' || error.code === 'wrong_environment';
    const whose =
      error.code === 'untrusted_key' ? `; a master with another HELIO_SIGNING_KEY publishes ${environment} there` : '';
    return { kind: readable ? 'foreign' : 'damaged', problem: error.message + whose };
  }
  const [chain] = await query<{ epoch: number; revision: string; hash: Buffer | null; root: Buffer | null }>(
    `SELECT c.epoch, c.revision, r.hash, r.root FROM chain c
     LEFT JOIN revision r ON r.environment_id = c.environment_id AND r.revision = $2 WHERE c.environment_id = $1`,
    [environment, head.revision],
  );
  if (!chain) throw new Error(`the chain of ${environment} is not in the database any more`);
  if (chain.epoch > epoch) return { kind: 'successor' };
  const ours =
    head.revision === 0
      ? GENESIS
      : chain.hash && chain.root && { revision: head.revision, hash: chain.hash, root: chain.root };
  const problem = foreign(head, chain.epoch, Number(chain.revision), ours);
  if (problem !== null || !ours) return { kind: 'foreign', problem: problem ?? '' };
  return { kind: 'ours', position: ours, epoch: head.epoch, issuedAt: head.issuedAt };
}

function foreign(head: Head, epoch: number, revision: number, ours: Position | null): string | null {
  if (head.epoch > epoch)
    return `it was written in epoch ${head.epoch}, and this database is in epoch ${epoch}: another master with another database publishes this environment`;
  if (head.revision > revision)
    return `it is at revision ${head.revision}, and this database at ${revision}: the database was restored from a backup, or belongs to another store`;
  if (ours === null || ours.hash.toString('hex') !== head.hash)
    return `its revision ${head.revision} is another one than in this database: they are two different chains`;
  return null;
}
