import { backoffMs, type Logger, sleep } from '#platform';
import { Bell } from './bell.js';
import { type Entry, entryName } from './entries.js';
import { hasMarkers } from './outbox.js';
import { Guess } from './guess.js';
import type { Published } from './publications.js';
import type { PublishingOptions } from './options.js';
import { isDataFault } from './read-rows.js';
import { publishRound, type Round, TermOver } from './round.js';
import { Claims } from './office/claims.js';
import { Entrance } from './office/entrance.js';
import type { Fence } from './office/fence.js';
import { Session } from './session.js';
import type { Rival } from './store/store-head.js';
import type { StoreStanding } from './store/store-standing.js';
import { StoreWriter } from './store/store-writer.js';
import { ChainDamaged, OtherSigningKey, takeOffice, type Term } from './term.js';

/** In case a hint and its NOTIFY were both lost. */
const POLL_MS = 50;
/** How often one that does not lead tries to. */
const CANDIDACY_MS = 250;
const RETRY_MS = { first: 50, most: 5_000 };
/** After its key was refused, or its chain found damaged: nothing of what this process can do changes that. */
const HOPELESS_MS = 15_000;
/** How long the store may take for the last revision when the process stops. */
const FAREWELL_MS = 2_000;

/** A head of another master lies in the store. */
class Replaced extends Error {}

/** The chain has gone on where this database does not know of it. */
class Surpassed extends Error {}

/** Where one environment's publishing stands in this process. */
export interface PublisherStanding {
  leader: boolean;
  /** PostgreSQL's process that holds the office's lock for this publisher, where anybody does */
  backend: number | undefined;
  /** why nothing is published here although it should be; null: nothing is wrong */
  error: string | null;
  /** whether the chain is signed with another key than this process has; stays until it is known better */
  keyRefused: boolean;
  /** why nobody may publish here, or take writes; null: nothing is in the way */
  fence: Fence | null;
  /** what has to be known first, before this leader publishes, for people */
  waitsFor: string | null;
  /** null: not the leader */
  store: StoreStanding | null;
}

/**
 * Publishes one environment whenever this process leads it.
 *
 *   candidate ──lock──▶ term of the next epoch ──entrance──▶ in office ──any error──▶ connection closed, wait, candidate
 *       └──fenced──▶ watch until somebody decides ──▶ candidate
 *
 * There is no way to go on after an error but a new term, which reads everything anew: so whatever broke in whichever
 * step, what follows is what follows a crash.
 */
export class Publisher {
  private readonly bell = new Bell();
  private readonly stopping = new AbortController();
  private readonly log: Logger;
  private running: Promise<void> | undefined;
  private session: Session | undefined;
  private term: Term | undefined;
  private writer: StoreWriter | undefined;
  private error: string | null = null;
  private keyRefused = false;
  private fence: Fence | null = null;
  private rival: Rival | undefined;
  private readonly entrance: Entrance;
  private readonly claims: Claims;
  private noted = '';
  private failures = 0;
  private careful = false;
  private readonly guess = new Guess();

  /** @param announce told of each revision right after its commit, and where the chain stands when a term begins */
  constructor(
    readonly environment: string,
    private readonly options: PublishingOptions,
    private readonly announce: (published: Published) => void,
  ) {
    this.log = options.log.child({ environment });
    this.entrance = new Entrance(environment, options, this.log, this.stopping.signal, (fence) =>
      this.noteFence(fence),
    );
    this.claims = new Claims(environment, options, this.log, this.stopping.signal, () => this.bell.ring());
  }

  start(): void {
    this.running ??= this.run();
  }

  /** There may be something to publish. @param marked entries that it is about, as far as is known */
  wake(marked: readonly Entry[] = []): void {
    this.guess.add(marked);
    this.bell.ring();
  }

  /** A replica says that it has more than this database. */
  claimed(): void {
    this.claims.notice();
    this.bell.ring();
  }

  get standing(): PublisherStanding {
    const { error, keyRefused, fence } = this;
    const { waitsFor } = this.entrance;
    const store = this.writer?.standing ?? null;
    const backend = this.session?.processId;
    return { leader: this.term !== undefined, backend, error, keyRefused, fence, waitsFor, store };
  }

  /** Finishes the revision in hand and, if the store answers, what it lacks; then gives up the office. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.bell.ring();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      let session: Session | undefined;
      let wait = 0;
      try {
        session = await Session.open(this.options.databaseUrl, `helio-publisher ${this.environment}`);
        session.whenLost(() => this.bell.ring());
        this.session = session;
        const term = await this.candidate(session);
        if (term && (await this.entrance.enter(term)) === 'publish') await this.office(term);
      } catch (error) {
        wait = this.failed(error as Error, session === undefined || session.lost !== undefined);
      } finally {
        this.session = undefined;
        await session?.end(); // before the wait: its lock is for whoever can do better
      }
      await sleep(wait, signal);
    }
  }

  /** @returns null when it is time to stop */
  private async candidate(session: Session): Promise<Term | null> {
    while (!this.stopping.signal.aborted) {
      const { signer, instance } = this.options;
      const candidacy = await takeOffice(session, this.environment, signer, instance, (text) => this.log.warn(text));
      const finds = candidacy.kind === 'term' && !candidacy.term.trust.maySign(signer.publicKey);
      if (!finds) this.keyRefused = false;
      if (candidacy.kind === 'term') return candidacy.term;
      this.noteFence(candidacy.fence);
      if (candidacy.kind === 'fenced' && candidacy.mine) await this.entrance.watch(session);
      else await sleep(CANDIDACY_MS, this.stopping.signal);
      this.recovered();
    }
    return null;
  }

  /** Says it once. */
  private noteFence(fence: Fence | null): void {
    if (fence && !this.fence) {
      const { reason, epoch, revision, keyId, detail } = fence;
      this.log.error(
        { reason, epoch, revision, keyId, cause: detail },
        'this master must not publish the environment, and takes no writes: another one does, or did, until an operator decides',
      );
    } else if (this.fence && !fence) this.log.warn('this master may publish the environment again');
    this.fence = fence;
  }

  private async office(term: Term): Promise<void> {
    const { environment, epoch, revision } = term;
    this.rival = undefined;
    this.noteFence(null);
    const writer = new StoreWriter(term, this.options, this.log, (rival) => {
      this.rival = rival;
      this.bell.ring();
    });
    this.term = term;
    this.writer = writer;
    this.log.info({ epoch, revision }, 'this process publishes the environment');
    writer.start();
    this.announce({ environment, revision, xids: null, sealed: null });
    try {
      this.bell.ring(); // for what waited while nobody was in office
      while (!this.stopping.signal.aborted) await this.turn(term, writer);
    } finally {
      this.term = undefined;
      await writer.stop(this.stopping.signal.aborted && !term.session.lost ? FAREWELL_MS : 0);
      await this.rememberStored(term, writer).catch(() => undefined); // the next term finds out by itself
      this.writer = undefined;
    }
  }

  private async turn(term: Term, writer: StoreWriter): Promise<void> {
    const { session, environment } = term;
    const rung = await this.bell.wait(POLL_MS);
    if (session.lost) throw session.lost;
    if (this.stopping.signal.aborted) return;
    if (this.rival) {
      await this.entrance.replaced(term, this.rival);
      throw new Replaced(this.rival.problem);
    }
    const proof = this.claims.proof(term);
    if (proof) {
      await this.entrance.surpassed(term, proof);
      throw new Surpassed(`revision ${proof.revision}, which the replica ${proof.replica} has, is not here`);
    }
    if (rung || (await hasMarkers(session, environment, term.unseen))) {
      const round = await this.publish(term, writer.standing.revision);
      if (round) this.published(term, round, writer);
    } else {
      await this.rememberStored(term, writer);
    }
    this.recovered();
  }

  private async publish(term: Term, storedRevision: number): Promise<Round | null> {
    try {
      const manner = { careful: this.careful, marked: this.guess.take() };
      const round = await publishRound(term, this.options.signer, storedRevision, manner, Date.now());
      if (round) this.careful = false;
      return round;
    } catch (error) {
      // one row may be to blame; where reading carefully did not help either, it was not
      this.careful = isDataFault(error) && !this.careful;
      throw error;
    }
  }

  private published(term: Term, round: Round, writer: StoreWriter): void {
    const { environment, revision } = term;
    if (round.sealed) writer.advance(revision);
    this.announce({ environment, revision, xids: new Set(round.xids), sealed: sealedBytes(round) });
    if (round.more) this.bell.ring();
    for (const { entry, problem } of round.unusable) {
      this.log.error(
        { entry: entryName(entry), problem, revision },
        'an entry cannot be published; what the chain says of it stays as it was',
      );
    }
    this.log.debug({ revision, ops: round.ops, bytes: round.bytes, transactions: round.xids.length }, 'published');
  }

  private async rememberStored(term: Term, writer: StoreWriter): Promise<void> {
    const { session, environment, epoch } = term;
    const { revision } = writer.standing;
    if (revision === term.storedRevision || session.lost) return;
    await session.rows(REMEMBER_STORED, [environment, epoch, revision]);
    term.storedRevision = revision;
  }

  /** @returns milliseconds to wait */
  private failed(error: Error, disconnected: boolean): number {
    const text = error.message;
    const refused = error instanceof OtherSigningKey;
    if (refused) {
      if (!this.keyRefused) this.log.error({ cause: text }, 'this master must not publish the environment');
      this.keyRefused = true;
    } else {
      // a connection comes back, a newer term goes on, a row is found by reading carefully; anything else waits for somebody
      const level =
        disconnected ||
        error instanceof TermOver ||
        error instanceof Replaced ||
        error instanceof Surpassed ||
        this.careful
          ? 'warn'
          : 'error';
      const change = `${level} ${disconnected ? 'connection' : text}`; // an outage goes through many texts
      if (this.noted !== change) this.log[level]({ cause: text }, 'publishing was interrupted; it is tried again');
      this.noted = change;
    }
    this.error = text;
    return refused || error instanceof ChainDamaged
      ? HOPELESS_MS
      : backoffMs(this.failures++, RETRY_MS.first, RETRY_MS.most, Math.random);
  }

  private recovered(): void {
    if (this.error !== null) this.log.info('publishing goes on');
    this.error = null;
    this.noted = '';
    this.failures = 0;
  }
}

function sealedBytes({ sealed }: Round): Published['sealed'] {
  if (!sealed) return null;
  const { hash, bytes, header } = sealed;
  return { epoch: header.epoch, revision: header.revision, hash, bytes, issuedAt: header.issuedAt };
}

const REMEMBER_STORED = {
  name: 'office_stored',
  text: 'UPDATE chain SET stored_revision = $3 WHERE environment_id = $1 AND epoch = $2',
};
