import { FormatError, LIMITS, segmentRange, snapshotName, verifySnapshot } from '#artifacts';
import type { DeltaContext } from './deltas.js';
import { inParallel } from './in-parallel.js';
import { whatLies } from './put-object.js';
import type { Progress, StoreLedger } from './store-ledger.js';
import type { StoreRules } from './store-rules.js';

const PAGE = 1_000;
const WIDTH = 16;
/** Two snapshots stay in any case: a reader that found the older one a moment ago, whatever the clocks say, finishes. */
const LEAST_SNAPSHOTS = 2;
/**
 * Who is so far behind that the deltas since have this many times the bytes of the newest snapshot fetches that one, as segments of
 * them would hardly be smaller: a delta with one change spends most of its bytes on its header, and a segment has none of those.
 */
const SEGMENT_WORTH = 4;

class NotInOffice extends Error {}

/**
 * Removes what no reader of a head that is less than `rules.keepMs` old may still fetch: deltas, segments, manifests, blobs, in this
 * order, the oldest first. It can stop at any place: the floors are remembered before anything goes, a manifest goes before its
 * blobs, and the next run lists anew.
 *
 * Not while a snapshot is being made by the same process: blobs are written before the manifest that names them.
 *
 * @returns whether the newest snapshot lacks something, so that another one should be made
 */
export async function collectGarbage(
  context: DeltaContext,
  ledger: StoreLedger,
  rules: StoreRules,
): Promise<{ incomplete: boolean }> {
  const { environment } = context;
  const progress = await ledger.read();
  const kept = keptSnapshots(progress, rules.keepMs);
  const [newest, oldest] = [kept[0], kept.at(-1)];
  if (!newest || !oldest) return { incomplete: false };

  if (kept.length >= LEAST_SNAPSHOTS) {
    // who found a head that names none of these, or one that is gone, reads deltas from the floor on
    const isFirst = oldest === progress.snapshots.at(-1) && oldest.aged < rules.keepMs;
    const floor = isFirst ? progress.deltaFloor : Math.max(progress.deltaFloor, oldest.revision);
    const segmentFloor = await segmentFloorOf(context, progress.segmentFloor, floor, newest.bytes, rules);
    await ledger.raiseFloors(floor, segmentFloor);
    await remove(context, ledger, `${environment}/delta`, (revision) => revision <= floor);
    for (const level of [1, 2, 3]) {
      const isOld = (index: number): boolean => segmentRange(level, index).last <= segmentFloor;
      await remove(context, ledger, `${environment}/segment/${level}`, isOld);
    }
    const revisions = kept.map(({ revision }) => revision);
    // a newer one than any that was announced is the work of somebody who is at it, or will be replaced by the next one
    const isOld = (revision: number): boolean => revision < newest.revision && !revisions.includes(revision);
    await remove(context, ledger, `${environment}/snapshot`, isOld);
    await ledger.dropSnapshots(progress.snapshots.map(({ revision }) => revision).filter(isOld));
  }
  return removeBlobs(context, ledger, newest.revision);
}

/** The newest two, and those that a head named which is younger than `keepMs`: until the next one was announced. */
function keptSnapshots({ snapshots }: Progress, keepMs: number): Progress['snapshots'] {
  return snapshots.filter((_, i) => i < LEAST_SNAPSHOTS || (snapshots[i - 1]?.aged ?? 0) < keepMs);
}

async function segmentFloorOf(
  { query, environment }: DeltaContext,
  floor: number,
  deltaFloor: number,
  snapshotBytes: number,
  { snapshotBytes: least }: StoreRules,
): Promise<number> {
  const [row] = await query<{ floor: string | null }>(
    `SELECT max(revision) AS floor FROM (
       SELECT revision, sum(octet_length(bytes)) OVER (ORDER BY revision DESC) AS since
       FROM revision WHERE environment_id = $1 AND revision > $2
     ) AS r WHERE since > $3 AND revision <= $4`,
    [environment, floor, SEGMENT_WORTH * Math.max(snapshotBytes, least), deltaFloor],
  );
  return Math.max(floor, Number(row?.floor ?? 0));
}

/** Objects of a folder whose names end with a number, in their order: stops at the first one that stays. */
async function remove(
  context: DeltaContext,
  ledger: StoreLedger,
  folder: string,
  isOld: (number: number) => boolean,
): Promise<void> {
  for (let after = ''; ; ) {
    const page = await context.store.list(folder, after, PAGE, context.signal);
    const old = page.filter((name) => isOld(Number(name.slice(folder.length + 1))));
    await removeAll(context, ledger, old);
    if (page.length < PAGE || old.length === 0) return;
    after = page.at(-1) ?? '';
  }
}

async function removeBlobs(
  context: DeltaContext,
  ledger: StoreLedger,
  newest: number,
): Promise<{ incomplete: boolean }> {
  const { store, environment, signal } = context;
  const folder = `${environment}/blob`;
  const manifests = await store.list(`${environment}/snapshot`, '', PAGE, signal);
  const needed = new Map<string, { newest: boolean }>();
  let isWhole = manifests.includes(snapshotName(environment, newest));
  let isKnown = isWhole;
  for (const name of manifests) {
    const isNewest = name === snapshotName(environment, newest);
    const blobs = await blobsOf(context, name);
    // what an unreadable manifest names may be needed: nothing is removed until the manifest is gone
    if (!blobs) isKnown = false;
    if (!blobs && isNewest) isWhole = false;
    for (const sha256 of blobs ?? []) {
      const known = needed.get(sha256);
      needed.set(sha256, { newest: isNewest || (known?.newest ?? false) });
    }
  }

  const missing = new Set([...needed].flatMap(([sha256, { newest: wanted }]) => (wanted ? [sha256] : [])));
  for (let after = ''; ; ) {
    const page = await store.list(folder, after, PAGE, signal);
    const unneeded = page.filter((name) => !needed.has(name.slice(folder.length + 1)));
    for (const name of page) missing.delete(name.slice(folder.length + 1));
    if (isKnown) await removeAll(context, ledger, unneeded);
    if (page.length < PAGE) return { incomplete: !isWhole || missing.size > 0 };
    after = page.at(-1) ?? '';
  }
}

/** The blobs that a manifest names, in hexadecimal; null when nobody can read it. */
async function blobsOf({ store, environment, trusted, signal }: DeltaContext, name: string): Promise<string[] | null> {
  try {
    const bytes = await whatLies(store, name, LIMITS.manifestBytes, signal);
    if (!bytes) return null;
    const { buckets } = verifySnapshot(bytes, environment, trusted);
    return buckets.filter(({ bytes }) => bytes > 0).map(({ sha256 }) => sha256.toString('hex'));
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

async function removeAll(
  { store, signal }: DeltaContext,
  ledger: StoreLedger,
  names: readonly string[],
): Promise<void> {
  for (let at = 0; at < names.length; at += WIDTH) {
    // Whoever leads now may be writing what looks old from here: few are removed after each look, and a new leader looks at
    // the blobs of a snapshot once more before a head names it, and after that when it collects.
    if (!(await ledger.inOffice())) throw new NotInOffice('another leader writes now');
    await inParallel(names.slice(at, at + WIDTH), WIDTH, (name) => store.delete(name, signal));
  }
}
