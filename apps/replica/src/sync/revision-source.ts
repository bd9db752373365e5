import { type ArtifactStore, deltaName, headName, LIMITS, StoreError } from '#artifacts';

export type HeadAnswer = { kind: 'head'; bytes: Buffer; etag: string } | { kind: 'unchanged' } | { kind: 'missing' };
export type RevisionAnswer = { kind: 'revision'; bytes: Buffer } | { kind: 'too-large' } | { kind: 'missing' };

/**
 * Where heads and revisions come from. Nothing that it says is believed before it was verified, so any will do.
 * Calls take a bounded time, and reject when it cannot be reached.
 */
export interface RevisionSource {
  readonly kind: 'store';
  /** for people, without secrets */
  readonly description: string;
  /** @param etag of the last head that was accepted, null for none */
  head(etag: string | null, signal: AbortSignal): Promise<HeadAnswer>;
  /** `too-large` for more than `limitBytes`: then nothing of it was read */
  revision(revision: number, limitBytes: number, signal: AbortSignal): Promise<RevisionAnswer>;
}

export class StoreSource implements RevisionSource {
  readonly kind = 'store';

  constructor(
    private readonly store: ArtifactStore,
    private readonly environment: string,
  ) {}

  get description(): string {
    return this.store.description;
  }

  async head(etag: string | null, signal: AbortSignal): Promise<HeadAnswer> {
    const answer = await this.store.getIfChanged(headName(this.environment), etag, LIMITS.headBytes, signal);
    return answer.kind === 'object' ? { kind: 'head', ...answer.object } : answer;
  }

  async revision(revision: number, limitBytes: number, signal: AbortSignal): Promise<RevisionAnswer> {
    try {
      const object = await this.store.get(deltaName(this.environment, revision), limitBytes, signal);
      return object ? { kind: 'revision', bytes: object.bytes } : { kind: 'missing' };
    } catch (error) {
      if (error instanceof StoreError && error.code === 'store_too_large') return { kind: 'too-large' };
      throw error;
    }
  }
}
