import type { Logger } from '#platform';
import type { Trust } from '../office/trust.js';

export interface StoreStanding {
  /** `conflict`: the store holds another chain, or a newer one; nothing is written to it */
  state: 'starting' | 'ok' | 'failing' | 'conflict';
  /** the head of the store names this revision, and every delta up to it was seen to be there */
  revision: number;
  /** the newest snapshot that the head names; null: none yet */
  snapshot: number | null;
  error: string | null;
}

/** What the writer needs to know of the term that it works for. */
export interface TermOfWriter {
  readonly environment: string;
  readonly epoch: number;
  readonly trust: Trust;
  readonly revision: number;
  readonly storedRevision: number;
}

/** Says once per change how the store is. */
export class StoreNotes {
  private noted = '';

  constructor(private readonly log: Logger) {}

  /** @param kind what counts as a change: the text of an error names another object each time */
  tell({ state, error, revision }: StoreStanding, kind = error): void {
    if (this.noted === `${state} ${kind}`) return;
    this.noted = `${state} ${kind}`;
    if (state === 'ok') this.log.info({ revision }, 'the artifact store has the chain');
    else if (state === 'failing')
      this.log.warn(
        { cause: error },
        'the artifact store falls behind; publishing goes on, and the store is filled later',
      );
    else
      this.log.error(
        { cause: error },
        'the artifact store holds another chain; nothing is written to it until somebody decides which one holds',
      );
  }
}
