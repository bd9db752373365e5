import { hash } from 'node:crypto';
import {
  blobName,
  BUCKETS,
  type ChainPosition,
  decodeBlob,
  FormatError,
  GENESIS_HASH,
  type Head,
  LIMITS,
  opsOf,
  positionAfter,
  snapshotName,
  StateRoot,
  TrustedKeys,
  type VerifiedRevision,
  verifyRevision,
  verifySnapshot,
} from '#artifacts';
import { decodeTrustedKeys, type Op, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { publishedValues } from '../chain-entries.js';
import { idOf } from '../entries.js';
import type { PublishingOptions } from '../options.js';
import { TermOver } from '../round.js';
import type { Session } from '../session.js';
import type { Term } from '../term.js';
import { NotAdoptable, note } from './adoption.js';
import { storedRevision } from './lineage.js';
import * as draft from './rebuild-draft.js';
import { beginRestore } from './restore.js';
import { revocationsIn } from './revocations.js';

/** What the draft says so far. */
interface Draft {
  position: ChainPosition;
  root: StateRoot;
  issuedAt: number;
}

const ENTRIES_AT_A_TIME = 1_000;

/**
 * Puts the chain of the store in place of the one in this database: where the two have parted, or where what this database
 * has forgotten is only to be had as a snapshot. It is made beside the old one, from the newest snapshot and the revisions
 * after it, in transactions of bounded size, and takes its place in one. Its last hash has to be the one that the head
 * names, which was signed by a key that is trusted now: so all of it is what that key's owner published.
 *
 * @throws NotAdoptable, TermOver, and whatever the store throws
 */
export async function rebuildFromStore(
  term: Term,
  head: Head,
  options: PublishingOptions,
  signal: AbortSignal,
): Promise<void> {
  const { session, environment } = term;
  await draft.clear(session, environment);
  const base = await fromSnapshot(term, head, options, signal);
  let { position } = base;
  let trusted = term.trust.ever;
  for (let revision = position.revision + 1; revision <= head.revision; revision++) {
    signal.throwIfAborted();
    const bytes = await storedRevision(options.store, environment, revision, signal);
    if (!bytes) throw new NotAdoptable(`revision ${revision} is missing in ${options.store.description}`);
    const verified = trust(() => verifyRevision(bytes, position, trusted));
    const ops = await apply(session, environment, base.root, verified);
    position = positionAfter(verified);
    base.issuedAt = verified.header.issuedAt;
    const setting = ops.find(({ table, key }) => table === TABLE.setting && key.equals(TRUSTED_KEYS_SETTING));
    const keys = setting?.value && decodeTrustedKeys(setting.value);
    if (keys) trusted = new TrustedKeys(keys);
  }
  if (position.hash.toString('hex') !== head.hash || base.root.root().toString('hex') !== head.root)
    throw new NotAdoptable(`what ${options.store.description} has does not lead to its head`);
  await replace(term, head, base.firstKept, position, base.root, options);
}

/** The newest snapshot as the draft's beginning; without one it begins with nothing. */
async function fromSnapshot(
  { session, environment, trust: { ever } }: Term,
  { snapshot }: Head,
  { store }: PublishingOptions,
  signal: AbortSignal,
): Promise<Draft & { firstKept: number }> {
  const root = StateRoot.empty();
  const position = { environment, epoch: 0, revision: 0, hash: GENESIS_HASH };
  if (!snapshot) return { position, root, issuedAt: 0, firstKept: 1 };
  const name = snapshotName(environment, snapshot.revision);
  const object = await store.get(name, LIMITS.manifestBytes, signal);
  if (!object) throw new NotAdoptable(`${name} is missing in ${store.description}`);
  const { header, buckets } = trust(() => verifySnapshot(object.bytes, environment, ever));
  if (header.revision !== snapshot.revision) throw new NotAdoptable(`${name} is of revision ${header.revision}`);
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const { sha256, bytes } = buckets[bucket] ?? { sha256: Buffer.alloc(0), bytes: 0 };
    if (bytes === 0) continue;
    signal.throwIfAborted();
    const blob = await store.get(blobName(environment, sha256.toString('hex')), LIMITS.blobBytes, signal);
    if (blob?.bytes.length !== bytes || !hash('sha256', blob.bytes, 'buffer').equals(sha256))
      throw new NotAdoptable(`the blob ${sha256.toString('hex')} is missing or damaged in ${store.description}`);
    const entries = trust(() => decodeBlob(blob.bytes));
    for (const { table, key, value } of entries) root.change(table, key, null, value);
    for (let at = 0; at < entries.length; at += ENTRIES_AT_A_TIME)
      await draft.put(session, environment, entries.slice(at, at + ENTRIES_AT_A_TIME), header.revision);
  }
  if (!root.root().equals(header.root)) throw new NotAdoptable(`${name} does not give the state root that it says`);
  const { epoch, revision, hash: tip, issuedAt } = header;
  return { position: { environment, epoch, revision, hash: tip }, root, issuedAt, firstKept: revision + 1 };
}

async function apply(
  session: Session,
  environment: string,
  root: StateRoot,
  verified: VerifiedRevision,
): Promise<Op[]> {
  const ops = trust(() => opsOf(verified));
  const { header } = verified;
  await session.transaction('READ COMMITTED', async () => {
    for (let at = 0; at < ops.length; at += ENTRIES_AT_A_TIME) {
      const some = ops.slice(at, at + ENTRIES_AT_A_TIME);
      const values = await publishedValues(session, draft.nameOf(environment), some);
      for (const op of some) root.change(op.table, op.key, values.get(idOf(op)) ?? null, op.value);
      const puts = some.filter((op): op is Op & { value: Buffer } => op.value !== null);
      await draft.put(session, environment, puts, header.revision);
      await draft.remove(
        session,
        environment,
        some.filter(({ value }) => value === null),
      );
    }
    await draft.keep(session, environment, verified, ops.length);
  });
  if (!root.root().equals(header.root))
    throw new NotAdoptable(`revision ${header.revision} does not give the state root that it says`);
  return ops;
}

/** The draft becomes the chain. Revisions up to where the two agree stay as they are. */
async function replace(
  term: Term,
  head: Head,
  firstKept: number,
  position: ChainPosition,
  root: StateRoot,
  { store }: PublishingOptions,
): Promise<void> {
  const { session, environment, epoch } = term;
  const common = await draft.common(session, environment, firstKept - 1, term.revision);
  const theirs = { source: `store ${store.description}`, epoch: head.epoch, revision: head.revision };
  const restore = await beginRestore(session, environment, common, theirs);
  for (const table of [TABLE.application, TABLE.key, TABLE.setting, TABLE.client, TABLE.revoked_token, TABLE.jwks]) {
    for await (const changes of draft.changes(session, environment, table))
      for (const { before, ...op } of changes) await note(session, restore, revocationsIn(op, before));
  }
  const sums = Array.from({ length: BUCKETS }, (_, bucket) => root.sum(bucket));
  await session.transaction('READ COMMITTED', async () => {
    await draft.takeOver(session, environment, common, sums);
    const spans = { missing: [common + 1, firstKept - 1], dropped: [common + 1, term.revision] } as const;
    await draft.report(session, restore, spans);
    if (!(await draft.moveChain(session, environment, epoch, { ...position, root: root.root() })))
      throw new TermOver(`epoch ${epoch} is over`);
  });
}

/** @throws NotAdoptable instead of FormatError */
function trust<T>(verify: () => T): T {
  try {
    return verify();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new NotAdoptable(error.message);
  }
}
