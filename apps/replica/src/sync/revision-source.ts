import { type ArtifactReader, deltaName, headName, LIMITS, StoreError } from '#artifacts';

export type HeadAnswer = { kind: 'head'; bytes: Buffer; etag: string } | { kind: 'unchanged' } | { kind: 'missing' };
export type RevisionAnswer = { kind: 'revision'; bytes: Buffer } | { kind: 'too-large' } | { kind: 'missing' };

/** What a status calls it: the artifact store, or another node that passes the chain on (a replica, a master, a copy). */
export type SourceKind = 'store' | 'peer';

/**
 * Where heads and revisions are fetched. Nothing that it says is believed before it was verified, so any will do.
 * Calls take a bounded time, and reject when it cannot be reached.
 */
export interface RevisionSource {
  readonly kind: SourceKind;
  /** segments and snapshots are read from here */
  readonly reader: ArtifactReader;
  /** for people, without secrets */
  readonly description: string;
  /** @param etag of the last head that was accepted, null for none */
  head(etag: string | null, signal: AbortSignal): Promise<HeadAnswer>;
  /** `too-large` for more than `limitBytes`: then nothing of it was read */
  revision(revision: number, limitBytes: number, signal: AbortSignal): Promise<RevisionAnswer>;
}

/** A source of artifacts: a store, a directory that was copied from one, another node's `/chain`. */
export class StoreSource implements RevisionSource {
  constructor(
    readonly reader: ArtifactReader,
    private readonly environment: string,
    readonly kind: SourceKind = 'store',
  ) {}

  get description(): string {
    return this.reader.description;
  }

  async head(etag: string | null, signal: AbortSignal): Promise<HeadAnswer> {
    const answer = await this.reader.getIfChanged(headName(this.environment), etag, LIMITS.headBytes, signal);
    return answer.kind === 'object' ? { kind: 'head', ...answer.object } : answer;
  }

  async revision(revision: number, limitBytes: number, signal: AbortSignal): Promise<RevisionAnswer> {
    try {
      const object = await this.reader.get(deltaName(this.environment, revision), limitBytes, signal);
      return object ? { kind: 'revision', bytes: object.bytes } : { kind: 'missing' };
    } catch (error) {
      if (error instanceof StoreError && error.code === 'store_too_large') return { kind: 'too-large' };
      throw error;
    }
  }
}
