import type { Signer } from '#artifacts';
import type { Logger } from '#platform';
import { settleWith, type Term } from '../term.js';
import type { Certainty } from './certainty.js';
import { type Decision, type Fence, moveIn, type OfficeRow, outrank, settleOffice } from './fence.js';
import type { Takeover } from './takeover.js';
import { replicasVouch } from './vouching.js';
import type { Waiting } from './waiting.js';

/** How long replicas get to say that they have more than the store: they connect again within seconds. */
const REPLICAS_MS = 10_000;

/** `publish`: nothing is open. `again`: the term is over, the next one finds something else. */
export type Entered = 'publish' | 'again';

/** What is known when one has to judge. */
export interface Case {
  term: Term;
  office: OfficeRow;
  certainty: Certainty;
  /** since when replicas' reports count: by the database's clock, ISO 8601 */
  since: string;
}

/** What is left to do when the store does not speak against a term: replicas are heard, and what was adopted is finished. */
export class Settling {
  /** until then replicas are waited for, on the monotonic clock */
  private patience = 0;

  constructor(
    private readonly signer: Signer,
    private readonly log: Logger,
    private readonly takeover: Takeover,
    private readonly waiting: Waiting,
    private readonly onFence: (fence: null) => void,
  ) {}

  /** A term begins. */
  begin(): void {
    this.patience = performance.now() + REPLICAS_MS;
  }

  /** What was adopted is finished, and this database is the one that publishes from now on. */
  async settle({ term, office, certainty, since }: Case): Promise<Entered | null> {
    const { session, environment, epoch } = term;
    if (office.fence?.replica) {
      const answered = await this.answerReplica(term, office.fence, office.decision);
      if (answered) return answered === 'wait' ? null : answered;
    } else if (certainty.uncertain && office.decision === null) {
      // a revision reaches replicas a moment before it reaches the store
      if (await this.takeover.fromReplicas(term)) return 'again';
      const { vouch, known, missing } = await replicasVouch(term, since);
      if (known > 0 && !vouch && performance.now() < this.patience)
        return this.waiting.wait(`replicas may have newer revisions than the store: ${missing}`);
    }
    await this.takeover.finish(term);
    const { identity } = certainty;
    if (certainty.moved) {
      await settleWith(term, this.signer, () => moveIn(session, environment, epoch, identity));
      this.log.warn(
        'this database is another one than that which published last, and takes its place; access tokens, join tokens and replicas that were withdrawn there may be valid here',
      );
      return 'again';
    }
    const settled = await settleWith(term, this.signer, (publicKey) =>
      settleOffice(session, environment, epoch, identity, publicKey),
    );
    return settled ? 'publish' : 'again';
  }

  /** What an operator has decided about revisions of a replica. @returns null: it is done */
  private async answerReplica(term: Term, fence: Fence, decision: Decision | null): Promise<'again' | 'wait' | null> {
    const { session, environment, epoch } = term;
    if (decision === 'discard-theirs') {
      if (epoch > fence.epoch) return null;
      await outrank(session, environment, epoch, fence.epoch, false);
      return 'again';
    }
    this.onFence(null); // or no replica could connect to give what it has
    if (await this.takeover.fromReplicas(term)) return 'again';
    if (term.revision >= fence.revision) return null;
    this.waiting.wait(
      `what an operator decided needs the replica ${fence.replica}, or another one that has revision ${fence.revision}`,
    );
    return 'wait';
  }
}
