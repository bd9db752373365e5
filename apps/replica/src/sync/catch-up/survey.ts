import {
  type ArtifactReader,
  deltaName,
  type Head,
  LIMITS,
  MAX_HEADER_BYTES,
  segmentName,
  snapshotName,
} from '#artifacts';
import { type TrustedKeys, type VerifiedSnapshot, verifySnapshot } from '#artifacts';
import { CatchUpError } from './catch-up-error.js';
import { missing, type ObjectFetcher } from './object-fetcher.js';
import { type Plan, planCatchUp } from './plan.js';
import { type Piece, type Route, routeBetween } from './routes.js';

/** Questions about sizes in one go: beyond, what was not asked counts as missing. */
const MAX_ASKED = 4096;
/** How far to go at a time where there are single revisions only. */
const SINGLE_STEPS = 1024;
const MAX_DELTA = LIMITS.bodyBytes + MAX_HEADER_BYTES;

function pieceName(environment: string, { index, level }: Piece): string {
  return level === 0 ? deltaName(environment, index + 1) : segmentName(environment, level, index);
}

/** A piece on the way, as an object of the store. */
export interface Wayside {
  piece: Piece;
  name: string;
  bytes: number;
}

export function noWay(reader: ArtifactReader, head: Head, from: number, to: number): CatchUpError {
  const detail = `${reader.description} has no way from revision ${from} to ${to}`;
  return new CatchUpError(deltaName(head.environment, from + 1), 'object_missing', detail);
}

/** What one source has, as far as it was asked, on the way to one head. */
export class Survey {
  readonly #sizes = new Map<string, number | null>();
  #manifest: VerifiedSnapshot | null = null;
  #fault: CatchUpError | null = null;
  #snapshot: Head['snapshot'];

  constructor(
    private readonly reader: ArtifactReader,
    private readonly fetcher: ObjectFetcher,
    private readonly head: Head,
  ) {
    this.#snapshot = head.snapshot;
  }

  /** Why an object was left out, the last one if there were several. */
  get fault(): CatchUpError | null {
    return this.#fault;
  }

  /** The newest snapshot; read when it is asked for first. */
  async manifest(trusted: TrustedKeys, signal: AbortSignal): Promise<VerifiedSnapshot> {
    if (this.#manifest) return this.#manifest;
    const { environment, epoch, hash, revision } = this.head;
    const name = snapshotName(environment, this.#snapshot?.revision ?? 0);
    const bytes = await this.fetcher.one(name, LIMITS.manifestBytes, signal);
    if (bytes === null) throw missing(name, this.reader);
    try {
      const manifest = verifySnapshot(bytes, environment, trusted);
      const { header } = manifest;
      if (header.revision !== this.#snapshot?.revision)
        throw new CatchUpError(name, 'wrong_revision', `it is one of revision ${header.revision}`);
      if (header.epoch > epoch)
        throw new CatchUpError(name, 'fork', `it is of epoch ${header.epoch}; the head is of epoch ${epoch}`);
      if (header.revision === revision && header.hash.toString('hex') !== hash)
        throw new CatchUpError(name, 'fork', `its revision ${revision} is not the one of the head`);
      this.#manifest = manifest;
      return manifest;
    } catch (error) {
      throw CatchUpError.of(name, error);
    }
  }

  /** From now on that object counts as missing. @returns false when it did already */
  leaveOut(fault: CatchUpError): boolean {
    this.#fault = fault;
    if (this.#sizes.get(fault.object) === null) return false;
    this.#sizes.set(fault.object, null);
    return true;
  }

  leaveSnapshotOut(): void {
    this.#snapshot = null;
    this.#manifest = null;
  }

  /** The cheapest next thing from a revision on, never `ask`. */
  async plan(
    from: number,
    sums: readonly (Buffer | null)[],
    signal: AbortSignal,
  ): Promise<Exclude<Plan, { kind: 'ask' }>> {
    const { environment } = this.head;
    let askMore = true;
    let to = this.head.revision;
    for (;;) {
      const plan = planCatchUp({
        from,
        to,
        sums,
        snapshot: this.#snapshot,
        manifest: this.#manifest?.buckets ?? null,
        sizeOf: (piece) => {
          const size = this.#sizes.get(pieceName(environment, piece));
          return size === undefined && !askMore ? null : size;
        },
      });
      if (plan.kind === 'ask') {
        askMore = plan.pieces.length <= MAX_ASKED;
        if (askMore) await this.#ask(plan.pieces, signal);
        continue;
      }
      if (plan.kind !== 'none') return plan;
      // No way to the end: as far as there is one.
      const end = askMore ? (this.#firstMissing(from, to) ?? from + 1) - 1 : Math.min(to - 1, from + SINGLE_STEPS);
      if (end <= from) return plan;
      askMore = true;
      to = end;
    }
  }

  /** The first single revision that was asked for and is not there. */
  #firstMissing(from: number, to: number): number | null {
    for (let revision = from + 1; revision <= to; revision++)
      if (this.#sizes.get(deltaName(this.head.environment, revision)) === null) return revision;
    return null;
  }

  /** The cheapest way between two revisions by pieces alone. @throws CatchUpError when there is none */
  async route(from: number, to: number, signal: AbortSignal): Promise<Wayside[]> {
    const { environment } = this.head;
    for (;;) {
      const { route, unknown } = routeBetween(from, to, (piece) => this.#sizes.get(pieceName(environment, piece)));
      if (unknown.length > 0) await this.#ask(unknown, signal);
      else if (route) return this.named(route);
      else throw this.#fault ?? noWay(this.reader, this.head, from, to);
    }
  }

  /** A plan's pieces as objects of the store. */
  named({ pieces }: Route): Wayside[] {
    return pieces.map((piece) => {
      const name = pieceName(this.head.environment, piece);
      return { piece, name, bytes: this.#sizes.get(name) ?? 0 };
    });
  }

  async #ask(pieces: readonly Piece[], signal: AbortSignal): Promise<void> {
    const names = pieces.map((piece) => pieceName(this.head.environment, piece));
    const sizes = await this.fetcher.sizes(names, signal);
    names.forEach((name, i) => {
      const size = sizes[i] ?? null;
      const most = pieces[i]?.level === 0 ? MAX_DELTA : LIMITS.segmentBytes;
      this.#sizes.set(name, size !== null && size <= most ? size : null);
    });
  }
}
