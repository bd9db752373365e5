import { webcrypto } from 'node:crypto';
import {
  type ArtifactStore,
  blobName,
  BodyWriter,
  BUCKETS,
  FormatError,
  LIMITS,
  sealSnapshot,
  type SnapshotBucket,
  type SnapshotPlace,
  snapshotBytes,
  snapshotName,
  StateRoot,
  verifySnapshot,
} from '#artifacts';
import { TABLE } from '#model';
import { Session, type Statement } from '../session.js';
import type { DeltaContext } from './deltas.js';
import { inParallel } from './in-parallel.js';
import type { LedgerSnapshot } from './store-ledger.js';
import { Pause } from './pause.js';
import { putObject } from './put-object.js';
import type { StoreRules } from './store-rules.js';

const WIDTH = 16;
const EMPTY: SnapshotBucket = { sum: Buffer.alloc(32), sha256: Buffer.alloc(32), bytes: 0 };

export interface MadeSnapshot extends LedgerSnapshot {
  hash: Buffer;
  root: Buffer;
  issuedAt: Date;
}

/** `published_entry` does not have the state root of the chain: a snapshot of it would be of no use to anybody. */
export class EntriesDamaged extends Error {}

/** Somebody has removed a blob that was there already and is needed again. */
class BlobGone extends Error {}

const CHAIN: Statement = {
  name: 'snapshot_chain',
  // the newest revision may have come from elsewhere with a snapshot, and then has no row of its own
  text: `SELECT c.revision, c.hash, c.root, coalesce(r.epoch, c.epoch) AS epoch, coalesce(r.issued_at, now()) AS issued_at,
           (SELECT coalesce(sum(octet_length(key) + octet_length(value) + 9), 0) FROM published_entry WHERE environment_id = $1) AS bytes
         FROM chain c LEFT JOIN revision r ON r.environment_id = c.environment_id AND r.revision = c.revision
         WHERE c.environment_id = $1 AND c.revision > 0`,
};
/** The bucket as in state-root.ts, so that a pass over a part of them sends no more than that part. */
const BUCKET = `SELECT get_byte(h, 0) << 8 & ${BUCKETS - 1} | get_byte(h, 1) AS bucket
  FROM sha256(decode(lpad(to_hex(table_id::integer), 2, '0') || lpad(to_hex(octet_length(key)), 4, '0'), 'hex') || key) AS h`;
const ENTRIES: Statement = {
  name: 'snapshot_entries',
  text: `SELECT table_id AS "table", key, value FROM published_entry
         WHERE environment_id = $1 AND (table_id, key) > ($2::smallint, $3::bytea) AND (${BUCKET}) BETWEEN $5 AND $6
         ORDER BY table_id, key LIMIT $4`,
};

interface ChainRow {
  revision: string;
  hash: Buffer;
  root: Buffer;
  epoch: number;
  issued_at: Date;
  bytes: string;
}

/**
 * Writes blobs and manifest of the state as one view of the database shows it. The same state gives the same bytes, so whoever
 * is interrupted, or does it at the same time as somebody else, does no harm. Nobody reads it before a head names it.
 *
 * @returns null before there is any revision
 */
export async function makeSnapshot(
  context: DeltaContext,
  databaseUrl: string,
  { passBytes }: StoreRules,
): Promise<MadeSnapshot | null> {
  const { environment, signer, trusted, signal } = context;
  const session = await Session.open(databaseUrl, 'helio-snapshot');
  const end = (): void => void session.end();
  signal.addEventListener('abort', end, { once: true });
  try {
    return await session.transaction('REPEATABLE READ', async () => {
      // between two passes the session waits for the store
      await session.run(`SET LOCAL idle_in_transaction_session_timeout = '10min'`);
      const [chain] = await session.rows<ChainRow>(CHAIN, [environment]);
      if (!chain) return null;
      const { hash, root, epoch, issued_at: issuedAt } = chain;
      const revision = Number(chain.revision);
      const buckets = await putBuckets(context, session, Math.ceil(Number(chain.bytes) / passBytes) || 1, root);
      const place: SnapshotPlace = { environment, epoch, revision, hash, root, issuedAt: issuedAt.getTime() };
      const manifest = sealSnapshot(place, buckets, signer);
      const name = snapshotName(environment, revision);
      await putObject(context, name, manifest, LIMITS.manifestBytes, (there) => {
        const { header } = verifySnapshot(there, environment, trusted);
        // signed with an earlier key it would stay unusable for whoever trusts the new one only
        const isSame = header.revision === revision && header.hash.equals(hash) && header.keyId.equals(signer.keyId);
        if (!isSame) throw new FormatError('wrong_revision', 'it is another snapshot than its name says');
      });
      await checkBlobs(context, buckets);
      const bytes = snapshotBytes(manifest.length, buckets);
      return { revision, bytes, keyId: signer.keyId, hash, root, issuedAt };
    });
  } finally {
    signal.removeEventListener('abort', end);
    await session.end();
  }
}

async function putBuckets(
  context: DeltaContext,
  session: Session,
  passes: number,
  expected: Buffer,
): Promise<SnapshotBucket[]> {
  const sums = StateRoot.empty();
  const width = Math.ceil(BUCKETS / passes);
  const buckets: SnapshotBucket[] = [];
  for (let first = 0; first < BUCKETS; first += width) {
    const last = Math.min(first + width, BUCKETS) - 1;
    const contents = await readBuckets(context, session, sums, first, last);
    buckets.push(...(await putBlobs(context, contents, sums, first, last)));
  }
  if (!sums.root().equals(expected))
    throw new EntriesDamaged(
      `published_entry does not have the state root of the newest revision of ${context.environment}: ` +
        'rows were changed or lost outside of Heliograph; restore the database from a backup',
    );
  return buckets;
}

async function readBuckets(
  { environment, signal }: DeltaContext,
  session: Session,
  sums: StateRoot,
  first: number,
  last: number,
): Promise<Map<number, BodyWriter>> {
  const contents = new Map<number, BodyWriter>();
  const pause = new Pause(signal);
  for (let after: { table: number; key: Buffer } | undefined = { table: 0, key: Buffer.alloc(0) }; after; ) {
    // releases come first, and may be large
    const most = after.table <= TABLE.release ? 8 : 1000;
    const values = [environment, after.table, after.key, most, first, last];
    const page: { table: number; key: Buffer; value: Buffer }[] = await session.rows(ENTRIES, values);
    for (const entry of page) {
      const bucket = sums.change(entry.table, entry.key, null, entry.value);
      let content = contents.get(bucket);
      if (!content) contents.set(bucket, (content = new BodyWriter(LIMITS.blobEntries, LIMITS.blobBytes)));
      content.add(entry);
      if (pause.due) await pause.take();
    }
    after = page.at(-1);
  }
  return contents;
}

async function putBlobs(
  { store, environment, signal }: DeltaContext,
  contents: ReadonlyMap<number, BodyWriter>,
  sums: StateRoot,
  first: number,
  last: number,
): Promise<SnapshotBucket[]> {
  const made = new Map<number, SnapshotBucket>();
  await inParallel([...contents], WIDTH, async ([bucket, content]) => {
    const blob = content.finish();
    const sha256 = Buffer.from(await webcrypto.subtle.digest('SHA-256', blob));
    await putBlob(store, blobName(environment, sha256.toString('hex')), blob, signal);
    made.set(bucket, { sum: sums.sum(bucket), sha256, bytes: blob.length });
  });
  return Array.from({ length: last - first + 1 }, (_, i) => made.get(first + i) ?? EMPTY);
}

/**
 * After the manifest was written, which keeps them from then on: a leader of before, who has not noticed yet that his term is
 * over, may have removed some that were unneeded until now.
 */
async function checkBlobs(
  { store, environment, signal }: DeltaContext,
  buckets: readonly SnapshotBucket[],
): Promise<void> {
  const needed = buckets.filter(({ bytes }) => bytes > 0);
  await inParallel(needed, WIDTH, async ({ sha256, bytes }) => {
    const name = blobName(environment, sha256.toString('hex'));
    if ((await store.size(name, signal)) !== bytes) throw new BlobGone(`${name} is gone; the snapshot is made again`);
  });
}

/** Its name is its hash: one that has the right length is taken for what it says, as reading all of them would cost as much as writing. */
async function putBlob(store: ArtifactStore, name: string, blob: Buffer, signal: AbortSignal): Promise<void> {
  if ((await store.create(name, blob, signal)) === 'created') return;
  if ((await store.size(name, signal)) === blob.length) return;
  await store.delete(name, signal);
  await store.create(name, blob, signal);
}
