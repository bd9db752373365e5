import type { WebhooksService } from '../webhooks/webhooks.service.js';
import type { WriteTx } from '../writes/write-tx.js';
import type { Faults } from './faults.js';
import type { PlannedChange } from './planned.js';
import type { Wanted } from './read-documents.js';
import type { Found } from './read-found.js';

/** What those need that write what is planned. What their checks find goes to `faults`, and they go on. */
export interface Writing {
  tx: WriteTx;
  webhooks: WebhooksService;
  faults: Faults;
}

/** Something that is made or changed. */
export type Kept = PlannedChange & { wanted: Wanted };
export type Gone = PlannedChange & { found: Found };

/** Writes changes of one kind. */
export type Write<C extends PlannedChange> = (writing: Writing, changes: readonly C[]) => Promise<void>;

/** Whether there is more to write than whose it is. */
export function isChanged({ fields }: PlannedChange): boolean {
  return fields.some(({ path }) => path !== '/set');
}

/** One after the other. */
export function each<C extends PlannedChange>(write: (writing: Writing, change: C) => Promise<unknown>): Write<C> {
  return async (writing, changes) => {
    for (const change of changes) {
      try {
        await write(writing, change);
      } catch (error) {
        writing.faults.addError(error, change.at);
      }
    }
  };
}
