import type { Head } from '#artifacts';
import type { Logger } from '#platform';
import type { PublishingOptions } from '../options.js';
import type { Term } from '../term.js';
import { adoptRevisions } from './adoption.js';
import { markDifferences } from './compare-rows.js';
import { EPOCH_LEAP, outrank } from './fence.js';
import { followTrustedKeys } from './follow-keys.js';
import { keepRevocations } from './keep-revocations.js';
import { storedRevision } from './lineage.js';
import { rebuildFromStore } from './rebuild.js';
import { finishRestore, restoreUnderWay } from './restore.js';

/** More than a database can have missed: some others that moved, and their terms. */
const MOST_EPOCHS = 10 * EPOCH_LEAP;

/** Brings a database that has forgotten what it published up to its own chain. */
export class Takeover {
  constructor(
    private readonly environment: string,
    private readonly options: PublishingOptions,
    private readonly log: Logger,
    private readonly signal: AbortSignal,
  ) {}

  /** @returns how many revisions were adopted */
  async fromStore(term: Term, revision: number, epoch: number): Promise<number> {
    const { store } = this.options;
    const from = term.revision;
    const fetch = (number: number) => storedRevision(store, this.environment, number, this.signal);
    const adopted = await adoptRevisions(
      term,
      { source: `store ${store.description}`, epoch, revision, fetch },
      this.signal,
    );
    if (adopted > 0)
      this.log.warn(
        { from: from + 1, to: term.revision },
        'this database had gone back in time; the revisions that it had forgotten were adopted from the store',
      );
    return adopted;
  }

  /** @returns whether something was adopted */
  async fromReplicas(term: Term): Promise<boolean> {
    const supply = this.options.replicas?.get();
    for (const { replica, epoch, revision } of supply?.ahead(this.environment, term.revision) ?? []) {
      const from = term.revision;
      const stream = supply?.fetch(this.environment, replica, from + 1, revision, this.signal);
      if (!stream) return false;
      const bytes = stream[Symbol.asyncIterator]();
      const fetch = async (): Promise<Buffer | null> => {
        const next = await bytes.next();
        return next.done ? null : next.value;
      };
      try {
        await adoptRevisions(term, { source: `replica ${replica}`, epoch, revision, fetch }, this.signal);
      } catch (error) {
        if (term.session.lost) throw error;
        this.log.warn({ replica, cause: (error as Error).message }, 'what a replica has cannot be adopted');
      } finally {
        await bytes.return?.();
      }
      if (term.revision === from) continue;
      this.log.warn(
        { replica, from: from + 1, to: term.revision },
        'this database had gone back in time; the revisions that it had forgotten were adopted from a replica',
      );
      // what a replica says of itself is not signed: it must not use up the epochs that there are
      await outrank(term.session, this.environment, term.epoch, Math.min(epoch, term.epoch + MOST_EPOCHS), false);
      return true;
    }
    return false;
  }

  /** Puts the chain of the store in place of the one in this database. */
  async rebuild(term: Term, head: Head): Promise<void> {
    await rebuildFromStore(term, head, this.options, this.signal);
    this.log.warn(
      { revision: head.revision, epoch: head.epoch },
      'the chain of the store was adopted in place of the one in this database',
    );
  }

  /** What was taken away stays away, and everything else follows the rows. */
  async finish({ session, environment }: Term): Promise<void> {
    const restore = await restoreUnderWay(session, environment);
    if (!restore) return;
    await followTrustedKeys(session, environment); // before any is retired: one at least is always left
    await keepRevocations(session, restore);
    const changed = await markDifferences(session, restore);
    await finishRestore(session, restore, changed);
    this.log.warn(
      { restore: restore.id, changed },
      'the restore is finished; GET /v1/restore-report says what it changed',
    );
  }
}
