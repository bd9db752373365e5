import { type Logger, sleep } from '#platform';
import type { PublishingOptions } from '../options.js';
import type { Session } from '../session.js';
import type { Rival } from '../store/store-head.js';
import type { Term } from '../term.js';
import { NotAdoptable } from './adoption.js';
import { certaintyOf } from './certainty.js';
import { fenceOf, type Proof } from './claims.js';
import { isComplete } from './database-identity.js';
import { type Decision, type Fence, liftFence, type OfficeRow, outrank, raiseFence, readOffice } from './fence.js';
import { type Case, type Entered, Settling } from './settling.js';
import { fenceFor, PATIENCE_MS, StoreGreeting } from './store-greeting.js';
import { Takeover } from './takeover.js';
import { replicasVouch } from './vouching.js';
import { Waiting } from './waiting.js';

/** How long a term that nothing speaks against waits for the store before it publishes without having met its head. */
const GREETING_MS = 1_000;
const LOOK_MS = 1_000;
/** How often it is looked whether an operator has decided, and whether the head that fences us off is still there. */
const DECISION_MS = 250;
const FENCED_LOOK_MS = 10_000;

/**
 * Stands between taking office and publishing: what this database says has to be what the world has seen of it.
 *
 *   head of the store is ours, or nobody answers and nothing is odd ──▶ publish
 *   it is ahead, on our chain, and this is another database ──▶ adopt, then a newer term
 *   this is another database, and nothing is missing any more ──▶ a newer term, far ahead of all of the other one's
 *   another database, or an unfinished restore, and no answer ──▶ wait: for the store, for replicas, for an operator
 *   another history, or anything of another master while this is the database of before ──▶ fence: nobody publishes until
 *   an operator decides, or that head is gone
 */
export class Entrance {
  private warnedOfIdentity = false;
  private readonly greeting: StoreGreeting;
  private readonly takeover: Takeover;
  private readonly waiting: Waiting;
  private readonly settling: Settling;

  constructor(
    private readonly environment: string,
    private readonly options: PublishingOptions,
    private readonly log: Logger,
    private readonly signal: AbortSignal,
    private readonly onFence: (fence: Fence | null) => void,
  ) {
    this.greeting = new StoreGreeting(environment, options, log, signal);
    this.takeover = new Takeover(environment, options, log, signal);
    this.waiting = new Waiting(log);
    this.settling = new Settling(options.signer, log, this.takeover, this.waiting, onFence);
  }

  /** what is waited for, for people; null: for nothing */
  get waitsFor(): string | null {
    return this.waiting.waitsFor;
  }

  /** @throws whatever ends a term */
  async enter(term: Term): Promise<Entered> {
    const { session } = term;
    const [clock] = await session.rows<{ since: string }>(CLOCK, []);
    this.settling.begin();
    try {
      while (!this.signal.aborted) {
        if (session.lost) throw session.lost;
        const entered = await this.judge(await this.caseOf(term, clock?.since ?? ''));
        if (entered) return entered;
        await sleep(LOOK_MS, this.signal);
      }
      return 'again';
    } finally {
      this.waiting.end();
    }
  }

  /** For whoever holds the lock of a fenced environment: resolves when an operator has decided, or the fence could be lifted. */
  async watch(session: Session): Promise<void> {
    for (let next = 0; !this.signal.aborted; ) {
      if (session.lost) throw session.lost;
      const { fence, decision } = await readOffice(session, this.environment);
      if (!fence || decision) return;
      if (performance.now() >= next) {
        next = performance.now() + FENCED_LOOK_MS;
        if (await this.greeting.isGone(session, fence)) {
          await liftFence(session, this.environment);
          this.log.warn('the head that fenced this master off is gone; it takes office again');
          return;
        }
      }
      await sleep(DECISION_MS, this.signal);
    }
  }

  /** A head of another master was found in the middle of a term, which has to end now. */
  async replaced(term: Term, rival: Rival): Promise<void> {
    await this.fence(term, rival);
  }

  /** A replica has proved that this chain goes on elsewhere, in the middle of a term, which has to end now. */
  async surpassed(term: Term, proof: Proof): Promise<void> {
    await this.raise(term, fenceOf(proof));
  }

  private async caseOf(term: Term, since: string): Promise<Case> {
    const { session, environment } = term;
    const office = await readOffice(session, environment);
    const certainty = await certaintyOf(session, environment, office);
    if (!isComplete(certainty.identity) && !this.warnedOfIdentity) {
      this.warnedOfIdentity = true;
      this.log.warn(
        'the role may not execute pg_control_system(): a copy of the whole cluster cannot be told from the original by its identifier',
      );
    }
    return { term, office, certainty, since };
  }

  /** @returns null: nothing can be said yet */
  private async judge(known: Case): Promise<Entered | null> {
    const { term, certainty } = known;
    const { uncertain } = certainty;
    const met = await this.greeting.meet(term, uncertain ? PATIENCE_MS : GREETING_MS);
    switch (met.kind) {
      case 'successor':
        return 'again';
      case 'ours':
      case 'discarded':
        return this.settling.settle(known);
      case 'rival':
        return this.judgeRival(known, met.rival);
      case 'stranger':
        // it cannot be verified, its revisions can: our key may have been announced in one of them
        if (uncertain && met.revision > term.revision && (await this.takeover.fromStore(term, met.revision, 0)) > 0)
          return 'again';
        return this.withoutStore(known, met.problem);
      case 'damaged':
        return this.withoutStore(known, `its head is damaged: ${met.problem}`);
      case 'missing':
        return this.withoutStore(
          { ...known, office: { ...known.office, fence: replicaFence(known.office) } },
          'it has no head',
        );
      case 'no-answer':
        return this.withoutStore(known, met.problem);
    }
  }

  private async withoutStore(known: Case, problem: string): Promise<Entered | null> {
    const { term, office, certainty, since } = known;
    if (office.fence?.replica) return this.settling.settle(known);
    if (office.fence)
      return this.waiting.wait(`what an operator decided needs ${this.options.store.description}, but ${problem}`);
    if (!certainty.uncertain || office.decision === 'proceed') return this.settling.settle(known);
    if (await this.takeover.fromReplicas(term)) return 'again';
    const replicas = await replicasVouch(term, since);
    if (replicas.vouch) return this.settling.settle(known);
    return this.waiting.wait(
      `this is another database than the one that published last, and may have forgotten revisions: ${this.options.store.description} ` +
        `would tell, but ${problem}; ${replicas.missing}; an operator may let it proceed`,
    );
  }

  private async judgeRival(known: Case, rival: Rival): Promise<Entered | null> {
    const { term, office, certainty } = known;
    const { decision } = office;
    const { head, relation } = rival;
    if (decision === 'discard-theirs') return this.outrank(term, head.epoch, true);
    if (relation === 'fork') return decision === 'adopt' ? this.rebuild(term, rival) : this.fence(term, rival);
    // how old an epoch is says nothing between two databases: only one that may have forgotten something takes over by itself
    if (decision !== 'adopt' && (!certainty.uncertain || (term.revision === 0 && relation === 'ahead')))
      return this.fence(term, rival);
    if (relation === 'newer') return this.outrank(term, head.epoch, false);
    return this.adoptAll(term, rival, decision);
  }

  private async adoptAll(term: Term, rival: Rival, decision: Decision | null): Promise<Entered | null> {
    const { head } = rival;
    try {
      await this.takeover.fromStore(term, head.revision, head.epoch);
    } catch (error) {
      if (!(error instanceof NotAdoptable)) throw error;
      // our newest revision is not on theirs
      return decision === 'adopt' ? this.rebuild(term, rival) : this.fence(term, { ...rival, relation: 'fork' });
    }
    if (term.revision === head.revision) return this.outrank(term, head.epoch, false);
    if (head.snapshot && head.snapshot.revision > term.revision) return this.rebuild(term, rival);
    return this.waiting.wait(
      `the store's head is at revision ${head.revision}, and its revision ${term.revision + 1}, which this database has forgotten, is missing`,
    );
  }

  private async rebuild(term: Term, rival: Rival): Promise<Entered> {
    await this.takeover.rebuild(term, rival.head);
    return this.outrank(term, rival.head.epoch, false);
  }

  private async outrank(term: Term, epoch: number, discard: boolean): Promise<'again'> {
    await outrank(term.session, this.environment, term.epoch, epoch, discard);
    return 'again';
  }

  private async fence(term: Term, rival: Rival): Promise<Entered> {
    return this.raise(term, await fenceFor(term, rival, this.options, this.signal));
  }

  private async raise(term: Term, fence: Fence): Promise<'again'> {
    this.onFence(fence); // this process takes no write from now on; the others learn it from the row
    await raiseFence(term.session, this.environment, term.epoch, fence);
    return 'again';
  }
}

/** One that was raised for the store's head is gone with it. */
function replicaFence({ fence }: OfficeRow): Fence | null {
  return fence?.replica ? fence : null;
}

const CLOCK = { name: 'office_clock', text: 'SELECT now()::text AS since' };
