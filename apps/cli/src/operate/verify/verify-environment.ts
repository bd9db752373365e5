import {
  type ArtifactStore,
  deltaName,
  type Head,
  headName,
  LIMITS,
  SEGMENT_LEVELS,
  segmentRange,
  snapshotName,
  type TrustedKeys,
  verifyHead,
} from '#artifacts';
import { firstRevision, namesIn, numbersIn } from './chain-objects.js';
import { ChainWalk } from './chain-walk.js';
import { ANYBODY, KeyRing } from './key-ring.js';
import { ReleaseCheck } from './release-check.js';
import { addFault, addThrown, type ChainReport, newReport } from './report.js';
import { SnapshotCheck } from './snapshot-check.js';

/** the last one that an object's name can have */
const MOST_REVISION = 999_999_999_999;

export interface VerifyOptions {
  /** opened for reading; see `patientStore` */
  store: ArtifactStore;
  environment: string;
  /** public keys in base64; null: signatures are not checked */
  trustedKeys: readonly string[] | null;
  signal: AbortSignal;
  onProgress: (progress: { revision: number; last: number; bytes: number }) => void;
}

/**
 * Reads everything that a store has of an environment, and says what of it is not as it was published. Memory: about 130 bytes
 * for each entry of the state, and the objects that are on their way.
 *
 * @throws StoreError when the store cannot be read
 */
export async function verifyEnvironment(options: VerifyOptions): Promise<ChainReport> {
  const { store, environment, trustedKeys, signal, onProgress } = options;
  const keys = new KeyRing(trustedKeys);
  const report = newReport(environment, keys.isChecked ? 'checked' : 'not checked');
  const onBytes = (bytes: number): void => void (report.bytes += bytes);
  const headBytes = (await store.get(headName(environment), LIMITS.headBytes, signal))?.bytes;
  if (!headBytes) {
    addFault(report, headName(environment), 'missing', 'it is not there: nothing says where the chain ends');
    return report;
  }
  // whose it is may only be known when the chain has named its keys
  const head = readHead(headBytes, environment, ANYBODY, report);
  if (!head) return report;
  if (head.revision > MOST_REVISION) {
    addFault(report, headName(environment), 'malformed', `no chain has a revision ${head.revision}`);
    return report;
  }
  // one that is signed wrongly by a key that is known says nothing at all; of another key the chain may tell
  if (keys.strict.has(Buffer.from(head.keyId, 'hex')) && !readHead(headBytes, environment, keys.strict, report))
    return report;

  const snapshotsAt = new Set<number>();
  for await (const { number } of numbersIn(store, `${environment}/snapshot`, signal)) {
    if (number <= (head.snapshot?.revision ?? 0)) snapshotsAt.add(number);
    else report.notes.push(`the snapshot of revision ${number} is not named by the head yet, and was not looked at`);
  }
  const releases = new ReleaseCheck(store, report, signal, onBytes);
  const snapshots = new SnapshotCheck(store, report, signal, onBytes, releases);
  const walk = new ChainWalk({
    store,
    report,
    keys,
    snapshots,
    releases,
    snapshotsAt,
    signal,
    onBytes,
    onRevision: (revision) => onProgress({ revision, last: head.revision, bytes: report.bytes }),
  });
  // whoever has the newest snapshot needs all that came after it; without one, all
  const needed = (head.snapshot?.revision ?? 0) + 1;
  const first = Math.min((await firstRevision(store, environment, signal)) ?? needed, needed);
  await walk.run(first, head.revision);

  if (readHead(headBytes, environment, keys.strict, report)) checkEnd(head, walk, report);
  if (head.snapshot && !snapshotsAt.has(head.snapshot.revision))
    addFault(
      report,
      snapshotName(environment, head.snapshot.revision),
      'missing',
      'it is not there, and the head names it',
    );
  await checkOlder(options, walk, snapshots, first, snapshotsAt, keys.strict, report);
  await releases.check(keys.lenient);
  await lookBeyond(options, head, snapshots, report);
  report.entries = walk.state?.size ?? null;
  report.otherKeys = [...keys.others];
  return report;
}

function readHead(bytes: Buffer, environment: string, trusted: TrustedKeys, report: ChainReport): Head | null {
  try {
    const head = verifyHead(bytes, environment, trusted);
    const { revision, epoch, root, keyId } = head;
    const time = (ms: number): string => new Date(ms).toISOString();
    report.head = { revision, epoch, root, issuedAt: time(head.issuedAt), expiresAt: time(head.expiresAt), keyId };
    return head;
  } catch (error) {
    report.head = null; // it is not to be believed
    addThrown(report, headName(environment), error);
    return null;
  }
}

/** The head is what all revisions are proven by. */
function checkEnd(head: Head, { position, state }: ChainWalk, report: ChainReport): void {
  if (position?.revision !== head.revision) return; // the last revision is missing or wrong, which is told
  const name = headName(head.environment);
  if (head.revision > 0 && position.hash.toString('hex') !== head.hash)
    addFault(report, name, 'fork', `its revision ${head.revision} is not the one of the revisions here`);
  if (position.epoch > head.epoch)
    addFault(report, name, 'older_epoch', `its epoch ${head.epoch} is older than that of its revision`);
  if (state && state.root().toString('hex') !== head.root)
    addFault(report, name, 'wrong_root', 'the state that the revisions lead to does not have the root that it says');
}

/** What is older than the first revision that was read: nothing here leads up to it, so that it is proven by its signature alone. */
async function checkOlder(
  { store, environment, signal }: VerifyOptions,
  walk: ChainWalk,
  snapshots: SnapshotCheck,
  first: number,
  snapshotsAt: ReadonlySet<number>,
  trusted: TrustedKeys,
  report: ChainReport,
): Promise<void> {
  for (const revision of snapshotsAt) {
    if (revision >= first - 1) continue;
    const manifest = await snapshots.manifest(revision, trusted);
    if (manifest) await snapshots.blobs(manifest);
  }
  for (let level = 1; level <= SEGMENT_LEVELS; level++) {
    for await (const { name, number: index } of numbersIn(store, `${environment}/segment/${level}`, signal)) {
      if (segmentRange(level, index).first >= first) break;
      if (await walk.segment(name, level, index, trusted)) report.segments.alone += 1;
    }
  }
}

/** What no reader of this head asks for is no fault: the work of somebody who is at it, or what was left behind. */
async function lookBeyond(
  { store, environment, signal }: VerifyOptions,
  head: Head,
  snapshots: SnapshotCheck,
  report: ChainReport,
): Promise<void> {
  const after = head.revision > 0 ? deltaName(environment, head.revision) : '';
  let beyond = 0;
  for await (const _ of numbersIn(store, `${environment}/delta`, signal, after)) beyond += 1;
  if (beyond > 0)
    report.notes.push(`${beyond} revisions after the head were not looked at: the head does not name them`);
  let unnamed = 0;
  for await (const name of namesIn(store, `${environment}/blob`, signal)) if (!snapshots.names(name)) unnamed += 1;
  if (unnamed > 0) report.notes.push(`${unnamed} blobs are named by no snapshot, and were not looked at`);
}
