import { Inject, Injectable } from '@nestjs/common';
import type { Logger } from '#platform';
import { LOG } from '../config/tokens.js';

/** A revision as it was sealed; whoever passes it on passes on these bytes. */
export interface SealedBytes {
  epoch: number;
  revision: number;
  /** 32 bytes; the name of this revision */
  hash: Buffer;
  /** header, signature and body */
  bytes: Buffer;
  /** milliseconds since 1970 */
  issuedAt: number;
}

/** Says that the markers of some transactions have been turned into a revision (or into nothing new). */
export interface Published {
  environment: string;
  /** the newest revision, which carries them or is newer */
  revision: number;
  /** transactions whose markers it took, as decimal text; null: not known here, `RevisionLookup` tells */
  xids: ReadonlySet<string> | null;
  /** the revision itself, where this process made it just now; else it is read from PostgreSQL */
  sealed: SealedBytes | null;
}

/** Tells whoever asked in this process of each revision, right after its commit. */
@Injectable()
export class Publications {
  private readonly listeners = new Set<(published: Published) => void>();

  constructor(@Inject(LOG) private readonly log: Logger) {}

  /** @returns how to unsubscribe */
  subscribe(listener: (published: Published) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  announce(published: Published): void {
    for (const listener of this.listeners) {
      try {
        listener(published);
      } catch (error) {
        this.log.error({ environment: published.environment, err: error }, 'a listener for revisions failed');
      }
    }
  }
}
