import {
  type ArtifactStore,
  decodeBody,
  decodeHeader,
  deltaName,
  FormatError,
  LIMITS,
  MAX_HEADER_BYTES,
  type PublishedRelease,
  releaseArtifact,
  type Signer,
  type TrustedKeys,
  verifyRevision,
} from '#artifacts';
import { TABLE } from '#model';
import type { Logger } from '#platform';
import type { Query } from '../options.js';
import { inParallel } from './in-parallel.js';
import { whatLies } from './put-object.js';
import type { StoredRevision } from './revision-batches.js';

/** Calls of the store at the same time: enough to keep up with a distant one, few for a disk. */
const WIDTH = 16;
const MOST_BYTES = MAX_HEADER_BYTES + LIMITS.bodyBytes;

/** Under the name of one of our revisions lies another one, properly signed. */
export class ForeignDelta extends Error {}

export interface DeltaContext {
  environment: string;
  store: ArtifactStore;
  signer: Signer;
  trusted: TrustedKeys;
  query: Query;
  log: Logger;
  /** whether a revision that another master signed is no part of the chain in the store: of an older term, and no head names it */
  isOrphan: (revision: number, epoch: number) => Promise<boolean>;
  signal: AbortSignal;
}

/** Puts revisions and the releases that came with them into the store. What is there already is compared, and mended. */
export async function putDeltas(context: DeltaContext, revisions: readonly StoredRevision[]): Promise<void> {
  await inParallel(revisions, WIDTH, (revision) => putDelta(context, revision));
  await inParallel(await releasesOf(context, revisions), WIDTH, (release) => putRelease(context, release));
}

async function putDelta(
  { store, environment, trusted, log, isOrphan, signal }: DeltaContext,
  { revision, bytes }: StoredRevision,
): Promise<void> {
  const name = deltaName(environment, revision);
  if ((await store.create(name, bytes, signal)) === 'created') return;
  const there = await whatLies(store, name, MOST_BYTES, signal);
  if (there?.equals(bytes)) return;
  const theirs = there && epochOf(there, environment, revision, trusted);
  if (theirs !== null && !(await isOrphan(revision, theirs))) {
    throw new ForeignDelta(
      `${name} holds another revision ${revision} than this database: they are two different chains`,
    );
  }
  if (theirs === null) log.error({ name }, 'a damaged object of the artifact store is replaced');
  else log.warn({ name, epoch: theirs }, 'what a master wrote after its term was over is replaced');
  await store.delete(name, signal);
  if ((await store.create(name, bytes, signal)) === 'exists')
    throw new Error(`${name} came back while it was replaced`);
}

/** The epoch of a revision that a master signed, ours or another one; null for what is just damage. */
function epochOf(bytes: Buffer, environment: string, revision: number, trusted: TrustedKeys): number | null {
  try {
    const { previous, epoch } = decodeHeader(bytes).header;
    verifyRevision(bytes, { environment, epoch, revision: revision - 1, hash: previous }, trusted);
    return epoch;
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    // a stranger's, or one for newer readers: not to be touched whatever its term is
    return error.code === 'untrusted_key' || error.code === 'reader_too_old' ? Number.POSITIVE_INFINITY : null;
  }
}

async function putRelease(
  { store, signer, log, signal }: DeltaContext,
  { value, ...release }: FoundRelease,
): Promise<void> {
  let artifact: ReturnType<typeof releaseArtifact>;
  try {
    artifact = releaseArtifact(
      { ...release, definition: JSON.parse(value.toString('utf8')) as PublishedRelease['definition'] },
      signer,
    );
  } catch (error) {
    // replicas do not read it: the chain goes on without
    log.error(
      { digest: release.digest, cause: (error as Error).message },
      'a release has no artifact that people could read',
    );
    return;
  }
  await store.create(artifact.name, artifact.bytes, signal); // one that came, went and comes again has its artifact
}

type FoundRelease = Omit<PublishedRelease, 'definition'> & { value: Buffer };

/** Releases that came onto the chain with these revisions. */
async function releasesOf(
  { environment, query }: DeltaContext,
  revisions: readonly StoredRevision[],
): Promise<FoundRelease[]> {
  const found = revisions.flatMap(({ revision, issuedAt, bytes }) => {
    const ops = decodeBody(bytes.subarray(decodeHeader(bytes).length));
    return ops.flatMap(({ table, key, value }) =>
      table === TABLE.release && value ? [{ revision, issuedAt, key, value }] : [],
    );
  });
  if (found.length === 0) return [];
  const rows = await query<{ digest: Buffer; created_at: Date; created_by: string }>(
    'SELECT digest, created_at, created_by FROM release WHERE digest = ANY ($1)',
    [found.map(({ key }) => key)],
  );
  const made = new Map(rows.map((row) => [row.digest.toString('hex'), row]));
  return found.map(({ revision, issuedAt, key, value }) => {
    const digest = key.toString('hex');
    const { created_at: createdAt, created_by: createdBy } = made.get(digest) ?? {};
    return {
      environment,
      digest,
      value,
      createdAt: createdAt?.toISOString() ?? null,
      createdBy: createdBy ?? null,
      revision,
      publishedAt: issuedAt.toISOString(),
    };
  });
}
