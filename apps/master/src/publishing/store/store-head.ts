import {
  decodeHeader,
  FormatError,
  GENESIS_HASH,
  type Head,
  MAX_HEADER_BYTES,
  StateRoot,
  type StoredObject,
  verifyHead,
} from '#artifacts';
import type { Trust } from '../office/trust.js';
import type { Query } from '../options.js';

/** A place on a chain: what a head names. */
export interface Position {
  revision: number;
  hash: Buffer;
  root: Buffer;
}

export const GENESIS: Position = { revision: 0, hash: GENESIS_HASH, root: StateRoot.empty().root() };
/** A head is smaller; what is larger is read far enough to be called damaged. */
export const HEAD_READ_BYTES = 65_536;

/** Another master's head, properly signed. */
export interface Rival {
  /**
   * `newer`: a revision of our chain, in a term that is newer or has the same number; `ahead`: a revision that we do not
   * have; `fork`: another revision than ours
   */
  relation: 'newer' | 'ahead' | 'fork';
  head: Head;
  /** for people */
  problem: string;
}

/** What the store's head says, from the point of view of the master whose database this is. */
export type Meeting =
  | { kind: 'missing' }
  /** it cannot be a head of anybody: nothing is lost by writing over it */
  | { kind: 'damaged'; problem: string }
  | { kind: 'ours'; position: Position; head: Head }
  /** an operator has said that it does not count */
  | { kind: 'discarded'; epoch: number; issuedAt: number }
  /** nothing may be written over it */
  | { kind: 'rival'; rival: Rival }
  /** of a key that this chain does not trust: it proves nothing, and nothing may be written over it. revision: what it claims */
  | { kind: 'stranger'; problem: string; revision: number }
  /** a newer term of this very database has begun: its leader writes now */
  | { kind: 'successor' };

export interface Asker {
  environment: string;
  /** of the term that asks */
  epoch: number;
  /** whether this very head was written by the term that asks */
  wrote(bytes: Buffer): boolean;
}

interface Ours {
  epoch: number;
  revision: number;
  discarded: number;
  /** what is here under the revision of the head */
  at: Position | null;
}

export async function meetHead(
  object: StoredObject | null,
  asker: Asker,
  trust: Trust,
  query: Query,
): Promise<Meeting> {
  if (object === null) return { kind: 'missing' };
  const { environment } = asker;
  let head: Head;
  try {
    head = verifyHead(object.bytes, environment, trust.ever);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (error.code === 'untrusted_key') return stranger(error.message, environment, claimed(object.bytes));
    // of another environment: the store is shared in a way that nobody meant
    if (error.code === 'wrong_environment') return stranger(error.message, environment, 0);
    return { kind: 'damaged', problem: error.message };
  }
  const ours = await readOurs(query, environment, head);
  if (ours.epoch > asker.epoch) return { kind: 'successor' };
  const meeting = compare(head, ours, asker, object.bytes);
  const isTrusted = trust.current.has(Buffer.from(head.keyId, 'hex'));
  return meeting.kind === 'rival' && !isTrusted
    ? stranger(`it is signed by the retired key ${head.keyId}`, environment, head.revision)
    : meeting;
}

async function readOurs(query: Query, environment: string, { revision, root: rootOfHead }: Head): Promise<Ours> {
  type Row = {
    epoch: number;
    revision: string;
    discarded_epoch: string;
    hash: Buffer | null;
    root: Buffer | null;
    next: Buffer | null;
  };
  // one that came with a snapshot has no row of its own: while it is the newest the chain's row says its hash, then the next one does
  const [chain] = await query<Row>(
    `SELECT c.epoch, c.revision, c.discarded_epoch, CASE WHEN c.revision = $2 THEN c.hash ELSE r.hash END AS hash,
            CASE WHEN c.revision = $2 THEN c.root ELSE r.root END AS root, substring(n.bytes FOR ${MAX_HEADER_BYTES}) AS next
     FROM chain c LEFT JOIN revision r ON r.environment_id = c.environment_id AND r.revision = $2
     LEFT JOIN revision n ON n.environment_id = c.environment_id AND n.revision = $2::bigint + 1 AND r.revision IS NULL
     WHERE c.environment_id = $1`,
    [environment, revision],
  );
  if (!chain) throw new Error(`the chain of ${environment} is not in the database any more`);
  // of the same hash it has the same root: the head says it
  const hash = chain.hash ?? (chain.next && decodeHeader(chain.next).header.previous);
  const root = chain.root ?? (chain.next && Buffer.from(rootOfHead, 'hex'));
  return {
    epoch: chain.epoch,
    revision: Number(chain.revision),
    discarded: Number(chain.discarded_epoch),
    at: revision === 0 ? GENESIS : hash && root && { revision, hash, root },
  };
}

function compare(head: Head, ours: Ours, asker: Asker, bytes: Buffer): Meeting {
  const isOurs = ours.at?.hash.toString('hex') === head.hash;
  const problem = rivalry(head, ours, isOurs);
  if (problem) {
    if (head.epoch <= ours.discarded) return { kind: 'discarded', epoch: head.epoch, issuedAt: head.issuedAt };
    const relation = head.revision > ours.revision ? 'ahead' : 'fork';
    return { kind: 'rival', rival: { relation, head, problem } };
  }
  // A term that has just begun has written nothing yet: a head of its number is of somebody who counts as well.
  const newer = head.epoch > asker.epoch || (head.epoch === asker.epoch && !asker.wrote(bytes));
  if (newer) {
    const text =
      `it was written in epoch ${head.epoch}, and this is epoch ${asker.epoch} of this database: ` +
      'another master with another database publishes this environment';
    return { kind: 'rival', rival: { relation: 'newer', head, problem: text } };
  }
  if (!ours.at) throw new Error('a head that is ours names no revision of ours');
  return { kind: 'ours', position: ours.at, head };
}

function rivalry(head: Head, ours: Ours, isOurs: boolean): string | null {
  if (head.revision > ours.revision)
    return (
      `it is at revision ${head.revision} in epoch ${head.epoch}, and this database at ${ours.revision}: ` +
      'the database has gone back in time, or another master with another database publishes this environment'
    );
  return isOurs
    ? null
    : `its revision ${head.revision}, of epoch ${head.epoch}, is another one than in this database: they are two different chains`;
}

function stranger(problem: string, environment: string, revision: number): Meeting {
  const whose = `; a master with another HELIO_SIGNING_KEY publishes ${environment} there`;
  return { kind: 'stranger', problem: problem + whose, revision };
}

/** The revision that a head names which cannot be verified. */
function claimed(bytes: Buffer): number {
  const { revision } = JSON.parse(bytes.toString('utf8')) as { revision: number }; // its form was checked before its key
  return revision;
}
