import { headName, StoreError } from '#artifacts';
import type { Logger } from '#platform';
import type { PublishingOptions } from '../options.js';
import type { Session } from '../session.js';
import { HEAD_READ_BYTES, type Meeting, meetHead, type Rival } from '../store/store-head.js';
import type { Term } from '../term.js';
import type { Fence } from './fence.js';
import { firstDifferent } from './lineage.js';
import { trustOf } from './trust.js';

/** How long one call may take where nothing can go on without it. */
export const PATIENCE_MS = 15_000;

export type Met = Meeting | { kind: 'no-answer'; problem: string };

/** What the head of the store says before a term has written one. */
export class StoreGreeting {
  constructor(
    private readonly environment: string,
    private readonly options: PublishingOptions,
    private readonly log: Logger,
    private readonly signal: AbortSignal,
  ) {}

  async meet(term: Term, within: number): Promise<Met> {
    const { store, query } = this.options;
    const asker = { environment: this.environment, epoch: term.epoch, wrote: () => false };
    try {
      const object = await store.get(headName(this.environment), HEAD_READ_BYTES, this.within(within));
      return await meetHead(object, asker, term.trust, query);
    } catch (error) {
      if (this.signal.aborted) throw error;
      if (error instanceof StoreError) return { kind: 'no-answer', problem: error.message };
      if ((error as Error).name === 'TimeoutError')
        return { kind: 'no-answer', problem: `it did not answer within ${within} ms` };
      throw error;
    }
  }

  /** Whether nothing in the store speaks against this database any more. */
  async isGone(session: Session, fence: Fence): Promise<boolean> {
    if (fence.replica) return false;
    const { store, query, signer } = this.options;
    const [chain] = await session.rows<{ epoch: number }>(EPOCH, [this.environment]);
    try {
      const object = await store.get(headName(this.environment), HEAD_READ_BYTES, this.within(PATIENCE_MS));
      const trust = await trustOf(query, this.environment, signer.publicKey);
      const asker = { environment: this.environment, epoch: (chain?.epoch ?? 0) + 1, wrote: () => false };
      const meeting = await meetHead(object, asker, trust, query);
      return meeting.kind === 'missing' || (meeting.kind === 'ours' && meeting.head.epoch < fence.epoch);
    } catch (error) {
      this.log.debug(
        { cause: (error as Error).message },
        'the store does not say whether the foreign head is still there',
      );
      return false;
    }
  }

  private within(ms: number): AbortSignal {
    return AbortSignal.any([this.signal, AbortSignal.timeout(ms)]);
  }
}

/** What is to be told of another master's head. */
export async function fenceFor(
  term: Term,
  rival: Rival,
  { store, query, log }: PublishingOptions,
  signal: AbortSignal,
): Promise<Fence> {
  const { environment, revision } = term;
  const { head, relation, problem } = rival;
  const upTo = Math.min(head.revision, revision);
  const searched = relation === 'fork' ? firstDifferent(store, query, environment, upTo, signal) : null;
  // the fence must not wait for it: it is raised all the same, and says a little less
  const found = await searched?.catch((error: unknown) => {
    log.debug({ environment, cause: (error as Error).message }, 'where the two chains part cannot be told');
    return null;
  });
  const first = found ?? null;
  const where = first === null ? '' : `; the first revision that differs is ${first}`;
  return {
    reason: relation === 'fork' ? 'fork' : revision === 0 ? 'empty_database' : 'replaced',
    epoch: head.epoch,
    revision: head.revision,
    hash: head.hash,
    keyId: head.keyId,
    firstDifferent: first,
    replica: null,
    since: new Date().toISOString(),
    detail: `${store.description} ${headName(environment)}, signed by the key ${head.keyId}: ${problem}${where}`,
  };
}

const EPOCH = { name: 'office_read_epoch', text: 'SELECT epoch FROM chain WHERE environment_id = $1' };
