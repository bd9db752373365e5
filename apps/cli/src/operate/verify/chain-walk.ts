import {
  type ArtifactStore,
  type ChainPosition,
  decodeHeader,
  deltaName,
  DigestState,
  FormatError,
  GENESIS_HASH,
  LIMITS,
  opsOf,
  positionAfter,
  SEGMENT_LEVELS,
  segmentName,
  segmentSpan,
  snapshotName,
  type TrustedKeys,
  type VerifiedRevision,
  type VerifiedSegment,
  verifyRevision,
  verifySegment,
} from '#artifacts';
import { decodeTrustedKeys, TABLE, TRUSTED_KEYS_SETTING } from '#model';
import { numbersIn, revisionsOf } from './chain-objects.js';
import { ANYBODY, type KeyRing } from './key-ring.js';
import { addFault, addThrown, type ChainReport } from './report.js';
import type { ReleaseCheck } from './release-check.js';
import type { SnapshotCheck } from './snapshot-check.js';

/** Missing one after the other, before it looks for what is there at all. */
const MOST_MISSING = 50;

export interface WalkOptions {
  store: ArtifactStore;
  report: ChainReport;
  keys: KeyRing;
  snapshots: SnapshotCheck;
  releases: ReleaseCheck;
  /** revisions that have one */
  snapshotsAt: ReadonlySet<number>;
  signal: AbortSignal;
  onBytes: (bytes: number) => void;
  onRevision: (revision: number) => void;
}

/** What an object has said of a revision that the walk has not got to. */
interface Claim {
  object: string;
  hash: Buffer;
  root: Buffer;
  epoch: number;
  /** checks the signature by the keys that the chain has named until there */
  check?: () => void;
}

/**
 * Goes over the revisions of a store one by one, as a replica does that has nothing: signature, place, hash, and at each of them
 * the root of the state. Past a revision that is wrong or missing the state is not known; it goes on with the next snapshot.
 */
export class ChainWalk {
  /** null: it is not known what came before */
  position: ChainPosition | null = null;
  state: DigestState | null = null;
  private readonly claims = new Map<number, Claim[]>();

  constructor(private readonly options: WalkOptions) {}

  /** @param first the first revision to be read @param last that of the head */
  async run(first: number, last: number): Promise<void> {
    const { report } = this.options;
    const { environment } = report;
    if (first === 1) {
      this.position = { environment, epoch: 0, revision: 0, hash: GENESIS_HASH };
      this.state = new DigestState();
    }
    await this.arrive(first - 1, last);
    if (first <= last) report.revisions = { first, last };
    for (let from = first; from <= last; ) from = await this.stretch(from, last);
  }

  /** @returns where to go on: past the last revision, or past a gap */
  private async stretch(first: number, last: number): Promise<number> {
    const { store, report, signal, onRevision } = this.options;
    const { environment } = report;
    let missing = 0;
    for await (const { revision, name, read } of revisionsOf(store, environment, first, last, signal)) {
      try {
        const bytes = await read();
        missing = bytes ? 0 : missing + 1;
        if (bytes) this.take(revision, name, bytes);
        else this.lose(name, 'missing', 'it is not there');
      } catch (error) {
        addThrown(report, name, error);
        this.position = this.state = null;
      }
      await this.arrive(revision, last);
      onRevision(revision);
      if (missing === MOST_MISSING && revision < last) return this.leap(revision, last);
    }
    return last + 1;
  }

  /** Over a gap to what the store has next: what a head says that nobody has signed could keep this busy for years. */
  private async leap(revision: number, last: number): Promise<number> {
    const { report, store, snapshotsAt, signal } = this.options;
    const { environment } = report;
    let next = last + 1;
    for await (const { number } of numbersIn(store, `${environment}/delta`, signal, deltaName(environment, revision))) {
      next = Math.min(next, number);
      break;
    }
    for (const at of snapshotsAt) if (at > revision) next = Math.min(next, at + 1);
    if (next > revision + 1) {
      const object = deltaName(environment, revision + 1);
      addFault(
        report,
        object,
        'missing',
        `nothing is there up to revision ${next - 1}; its segments were not looked at`,
      );
      for (const due of this.claims.keys()) if (due < next - 1) this.settle(due);
      await this.arrive(next - 1, last);
    }
    return next;
  }

  private take(revision: number, name: string, bytes: Buffer): void {
    const { keys, onBytes, report } = this.options;
    onBytes(bytes.length);
    const verified = verifyRevision(bytes, this.position ?? aloneAt(bytes, report.environment, revision), keys.lenient);
    const ops = opsOf(verified);
    this.state?.apply(ops);
    this.position = positionAfter(verified);
    this.options.releases.note(name, ops);
    const named = ops.find(({ table, key }) => table === TABLE.setting && key.equals(TRUSTED_KEYS_SETTING));
    const theirs = named?.value && decodeTrustedKeys(named.value);
    if (theirs && this.mayTeach(verified)) keys.learn(theirs); // from the next revision on
    if (!this.state || this.state.root().equals(verified.header.root)) return;
    this.lose(name, 'wrong_root', 'the state after it does not have the root that it says');
    this.position = positionAfter(verified);
  }

  /** What somebody has signed whom nobody knows may name any keys. */
  private mayTeach({ header }: VerifiedRevision): boolean {
    return this.options.keys.strict.has(header.keyId);
  }

  private lose(name: string, code: string, detail: string): void {
    addFault(this.options.report, name, code, detail);
    this.position = this.state = null;
  }

  /** Everything that there is to be compared at a revision, and what begins after it. */
  private async arrive(revision: number, last: number): Promise<void> {
    this.settle(revision);
    if (this.options.snapshotsAt.has(revision)) await this.meet(revision);
    await this.checkSegments(revision, last);
  }

  private settle(revision: number): void {
    const { position, state, claims } = this;
    const due = claims.get(revision) ?? [];
    claims.delete(revision);
    for (const { object, hash: its, root, epoch, check } of due) {
      try {
        check?.();
      } catch (error) {
        addThrown(this.options.report, object, error);
      }
      if (position?.revision !== revision) continue;
      const same = its.equals(position.hash) && epoch === position.epoch && (!state || root.equals(state.root()));
      if (same) continue;
      addFault(this.options.report, object, 'fork', `its revision ${revision} is not the one of this chain`);
    }
  }

  /** Its keys may be those that the chain has named by then. */
  private async meet(revision: number): Promise<void> {
    const { snapshots, report, keys } = this.options;
    const manifest = await snapshots.manifest(revision, keys.strict);
    if (!manifest) return;
    const { header } = manifest;
    const { epoch, root } = header;
    this.claims.set(revision, [{ object: snapshotName(report.environment, revision), hash: header.hash, root, epoch }]);
    this.settle(revision);
    if (this.state) {
      await snapshots.blobs(manifest);
      return;
    }
    // without its hash it is not known that the manifest is of this chain: the head, at the end, tells
    const known = this.position;
    if (known && !known.hash.equals(header.hash)) return;
    this.state = await snapshots.load(manifest);
    this.position ??= { environment: report.environment, epoch, revision, hash: header.hash };
  }

  /** A segment is right if it leads from the state at its begin to the root at its end, as it has to for who applies it. */
  private async checkSegments(at: number, last: number): Promise<void> {
    const { report } = this.options;
    for (let level = 1; level <= SEGMENT_LEVELS; level++) {
      const span = segmentSpan(level);
      if (at % span !== 0 || at + span > last) continue;
      const name = segmentName(report.environment, level, at / span);
      const read = await this.segment(name, level, at / span, ANYBODY);
      if (!read) continue;
      const { bytes, segment } = read;
      const { hash: its, root, epoch } = segment.header;
      if (!this.state) report.segments.alone += 1;
      else if (this.leadsTo(name, segment)) report.segments.proven += 1;
      const others = this.claims.get(at + span) ?? [];
      // who has signed it may be named by one of the revisions that it covers
      const check = (): void => void verifySegment(bytes, report.environment, this.options.keys.strict);
      this.claims.set(at + span, [...others, { object: name, hash: its, root, epoch, check }]);
    }
  }

  private leadsTo(name: string, segment: VerifiedSegment): boolean {
    const { report } = this.options;
    try {
      if (this.state?.rootAfter(opsOf(segment)).equals(segment.header.root)) return true;
      addFault(report, name, 'wrong_root', 'its changes do not lead to the root that it says');
    } catch (error) {
      addThrown(report, name, error);
    }
    return false;
  }

  /** None where there is none, which is no fault, or where it is wrong, which is noted. */
  async segment(
    name: string,
    level: number,
    index: number,
    trusted: TrustedKeys,
  ): Promise<{ segment: VerifiedSegment; bytes: Buffer } | null> {
    const { store, report, signal, onBytes } = this.options;
    try {
      const object = await store.get(name, LIMITS.segmentBytes, signal);
      if (!object) return null;
      onBytes(object.bytes.length);
      const segment = verifySegment(object.bytes, report.environment, trusted);
      const { header } = segment;
      if (header.level === level && header.index === index) return { segment, bytes: object.bytes };
      throw new FormatError('wrong_revision', `it is segment ${header.index} of level ${header.level}`);
    } catch (error) {
      addThrown(report, name, error);
      return null;
    }
  }
}

/** Where nothing is known of what was before: what it says itself of that. @throws FormatError */
function aloneAt(bytes: Buffer, environment: string, revision: number): ChainPosition {
  return { environment, epoch: 0, revision: revision - 1, hash: decodeHeader(bytes).header.previous };
}
