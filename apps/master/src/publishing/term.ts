import { type Signer, StateRoot } from '#artifacts';
import { TABLE } from '#model';
import { KnownEntries } from './chain-entries.js';
import { certaintyOf } from './office/certainty.js';
import { type Fence, readOffice } from './office/fence.js';
import { lockOf } from './office/office-lock.js';
import { keyIdText, type Trust, trustOf } from './office/trust.js';
import { ALL_TRANSACTIONS, type Transactions } from './outbox.js';
import type { Session, Statement } from './session.js';

/** A term of office: while its session lives, this process and nobody else publishes the environment. */
export interface Term {
  readonly environment: string;
  readonly session: Session;
  readonly epoch: number;
  /** whom the chain believed when the term began */
  readonly trust: Trust;
  /** where the chain stands, as after the last commit of this term */
  revision: number;
  hash: Buffer;
  root: StateRoot;
  /** when the newest revision was issued, in milliseconds since 1970; 0 before there is any */
  issuedAt: number;
  /** of all other transactions the markers were taken */
  unseen: Transactions;
  /** what the chain has, as far as it was asked */
  readonly known: KnownEntries;
  /** up to there the artifact store is known to have the chain; as PostgreSQL has it */
  storedRevision: number;
}

/** The chain in PostgreSQL contradicts itself: to publish on top of it would make revisions that every replica refuses. */
export class ChainDamaged extends Error {}

/** The chain does not trust the key that this process has: replicas would refuse whatever it published, for ever. */
export class OtherSigningKey extends Error {
  constructor(environment: string, trusted: readonly string[], own: string) {
    const [first = '', ...others] = trusted.map(keyIdText);
    const signed = others.length === 0 ? `the key ${first}` : `one of the keys ${[first, ...others].join(', ')}`;
    super(
      `the chain of ${environment} is signed with ${signed}, and HELIO_SIGNING_KEY of this master is the key ${keyIdText(own)}, ` +
        `which no replica trusts: start this master with the key that signed the chain`,
    );
  }
}

/** What came of trying to take office. `fenced`: nobody may until somebody decides; mine: the lock is held by `session`. */
export type Candidacy =
  | { kind: 'term'; term: Term }
  | { kind: 'fenced'; fence: Fence; mine: boolean }
  /** another session leads, or the environment has just been deleted */
  | { kind: 'not-now'; fence: Fence | null };

interface ChainRow {
  epoch: number;
  revision: string;
  hash: Buffer;
  root: Buffer | null;
  stored_revision: string;
  issued_at: Date | null;
}

const LOCK: Statement = { name: 'office_lock', text: 'SELECT pg_try_advisory_lock($1::bigint) AS mine' };
const BEGIN_CHAIN: Statement = {
  name: 'office_chain',
  text: 'INSERT INTO chain (environment_id) SELECT id FROM environment WHERE id = $1 ON CONFLICT DO NOTHING',
};
const LOCK_CHAIN: Statement = {
  name: 'office_lock_chain',
  text: 'SELECT 1 FROM chain WHERE environment_id = $1 FOR UPDATE',
};
const NEXT_EPOCH: Statement = {
  name: 'office_epoch',
  text: `UPDATE chain SET epoch = epoch + 1, leader = $2 WHERE environment_id = $1
         RETURNING epoch, revision, hash, root, stored_revision,
           (SELECT r.issued_at FROM revision AS r WHERE r.environment_id = chain.environment_id AND r.revision = chain.revision) AS issued_at`,
};
const SUMS: Statement = { name: 'office_sums', text: 'SELECT bucket, sum FROM chain_bucket WHERE environment_id = $1' };
const ENTRIES: Statement = {
  name: 'office_entries',
  text: `SELECT table_id AS "table", key, value FROM published_entry
         WHERE environment_id = $1 AND (table_id, key) > ($2::smallint, $3::bytea) ORDER BY table_id, key LIMIT $4`,
};
const RESTORE_SUMS: Statement = {
  name: 'office_restore',
  text: `WITH gone AS (DELETE FROM chain_bucket WHERE environment_id = $1 AND bucket <> ALL ($2::smallint[]))
         INSERT INTO chain_bucket (environment_id, bucket, sum) SELECT $1, b.bucket, b.sum FROM unnest($2::smallint[], $3::bytea[]) AS b (bucket, sum)
         ON CONFLICT (environment_id, bucket) DO UPDATE SET sum = excluded.sum`,
};

/**
 * Takes office if nobody else holds it and nothing forbids it: the lock of the environment, the next epoch, and the state
 * that the next revision is made from, all on `session`.
 *
 * @param signer has to have a key that the chain trusts, or will after what it has forgotten; the first term begins with any
 * @param instance what this process calls itself
 * @param warn told when damaged sums were made again from the entries
 * @throws ChainDamaged, OtherSigningKey
 */
export async function takeOffice(
  session: Session,
  environment: string,
  signer: Signer,
  instance: string,
  warn: (text: string) => void,
): Promise<Candidacy> {
  // Also while somebody else leads: a wrong key shows when a master is started, not when it has to take over.
  const row = await readOffice(session, environment);
  const { fence, decision } = row;
  // In what a database has forgotten the key may have been announced. A term finds that out, and publishes only if it is so.
  const strict = !(await certaintyOf(session, environment, row)).uncertain;
  if (strict) await trustWith(session, environment, signer);
  const [lock] = await session.rows<{ mine: boolean }>(LOCK, [lockOf(environment)]);
  const mine = lock?.mine ?? false;
  if (fence && !decision) return { kind: 'fenced', fence, mine };
  if (!mine) return { kind: 'not-now', fence };
  return session.transaction('READ COMMITTED', async () => {
    await session.rows(BEGIN_CHAIN, [environment]);
    await session.rows(LOCK_CHAIN, [environment]);
    const trust = await (strict ? trustWith : trustAs)(session, environment, signer);
    const [chain] = await session.rows<ChainRow>(NEXT_EPOCH, [environment, instance]);
    if (!chain) return { kind: 'not-now', fence: null };
    const root = await rootOf(session, environment, chain, warn);
    const { epoch, revision, hash: tip, stored_revision: stored, issued_at: issuedAt } = chain;
    const term = {
      environment,
      session,
      epoch,
      trust,
      revision: Number(revision),
      hash: tip,
      root,
      issuedAt: issuedAt?.getTime() ?? 0,
      unseen: ALL_TRANSACTIONS,
      known: new KnownEntries(),
      storedRevision: Number(stored),
    };
    return { kind: 'term', term };
  });
}

/**
 * Lets a term that has found nothing missing publish, if the chain trusts its key now: under the lock of the row, so whoever
 * retires a key sees this term, or is seen by it.
 *
 * @param settle told the public key
 * @throws OtherSigningKey
 */
export function settleWith<T>(
  { session, environment }: Term,
  signer: Signer,
  settle: (publicKey: string) => Promise<T>,
): Promise<T> {
  return session.transaction('READ COMMITTED', async () => {
    await session.rows(LOCK_CHAIN, [environment]);
    await trustWith(session, environment, signer);
    return settle(signer.publicKey);
  });
}

function trustAs(session: Session, environment: string, { publicKey }: Signer): Promise<Trust> {
  return trustOf((text, values) => session.rows({ name: 'office_trust', text }, values), environment, publicKey);
}

/** @throws OtherSigningKey */
async function trustWith(session: Session, environment: string, signer: Signer): Promise<Trust> {
  const trust = await trustAs(session, environment, signer);
  const { publicKey } = signer;
  if (!trust.maySign(publicKey)) throw new OtherSigningKey(environment, trust.keys, publicKey);
  return trust;
}
async function rootOf(
  session: Session,
  environment: string,
  chain: ChainRow,
  warn: (text: string) => void,
): Promise<StateRoot> {
  const expected = chain.root ?? StateRoot.empty().root();
  const kept = StateRoot.empty();
  for (const { bucket, sum } of await session.rows<{ bucket: number; sum: Buffer }>(SUMS, [environment]))
    kept.load(bucket, sum);
  if (kept.root().equals(expected)) return kept;

  const { root, buckets } = await recompute(session, environment);
  if (!root.root().equals(expected)) {
    throw new ChainDamaged(
      `neither chain_bucket nor published_entry has the state root of revision ${chain.revision} of ${environment}: ` +
        'rows were changed or lost outside of Heliograph; restore the database from a backup',
    );
  }
  await session.rows(RESTORE_SUMS, [environment, buckets, buckets.map((bucket) => root.sum(bucket))]);
  warn('the bucket sums did not fit the state root, and were made again from the entries');
  return root;
}

/** The state root of what `published_entry` has, page by page. */
async function recompute(session: Session, environment: string): Promise<{ root: StateRoot; buckets: number[] }> {
  const root = StateRoot.empty();
  const buckets = new Set<number>();
  for (let after: { table: number; key: Buffer } | undefined = { table: 0, key: Buffer.alloc(0) }; after; ) {
    const page: { table: number; key: Buffer; value: Buffer }[] = await session.rows(ENTRIES, [
      environment,
      after.table,
      after.key,
      after.table <= TABLE.release ? 8 : 1000, // releases come first, and may be large
    ]);
    for (const { table, key, value } of page) buckets.add(root.change(table, key, null, value));
    after = page.at(-1);
  }
  return { root, buckets: [...buckets] };
}
