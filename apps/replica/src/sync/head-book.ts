import { hash } from 'node:crypto';
import { decodeHeader, FormatError, type Head, type TrustedKeys, verifyHead } from '#artifacts';
import type { Logger } from '#platform';
import type { KnownHead } from '../state/state-layout.js';
import type { StateStore } from '../state/state-store.js';
import { faultOfHead, goesBack } from './head-fault.js';

/** The newest head that one source has given. */
export interface HeadMemory {
  newest: Readonly<KnownHead> | null;
  /** when the last of all that it has given expires: a master's clock may be set back */
  freshUntil: number;
  /** see `KnownHeads` */
  readonly isOnePlace: boolean;
}

/** isNewest: of its source */
export type HeadVerdict = { head: Head; isNewest: boolean } | { code: string; detail: string };

export interface HeadBookOptions {
  state: StateStore;
  trusted: () => TrustedKeys;
  log: Logger;
  /** what is known became newer, or fresher */
  onHead: (head: Readonly<KnownHead>) => void;
}

const REMEDY =
  '; where the chain has changed its keys and the revisions that say so are gone, put its public key into HELIO_TRUSTED_KEYS';

/** What heads have said, of all sources together. Nothing in it goes back, restarts included. */
export class HeadBook {
  #newest: Readonly<KnownHead> | null;
  /** the newest head, with the times of the freshest one: what is known does not get older by a clock that was set back */
  #freshest: Readonly<KnownHead> | null;
  /** the newest one whose revision was applied here: what it names can be fetched from here, too */
  #served: Readonly<KnownHead> | null = null;
  #forkedEpoch = -1;
  /** see `KnownHeads`; after a restart, of the newest head that was kept */
  #termBegan: number;
  /** the last one could not be kept, and the log has said so */
  #isLost = false;

  constructor(private readonly options: HeadBookOptions) {
    this.#newest = options.state.head;
    this.#freshest = this.#newest;
    this.#termBegan = this.#newest?.issuedAt ?? 0;
    this.#forkedEpoch = this.#newest?.forkedEpoch ?? -1;
  }

  get newest(): Readonly<KnownHead> | null {
    return this.#newest;
  }

  get freshest(): Readonly<KnownHead> | null {
    return this.#freshest;
  }

  /** Two masters have made revisions of it: neither is followed any further, until one of them takes a newer one. -1: none */
  get forkedEpoch(): number {
    return this.#forkedEpoch;
  }

  /** The exact bytes of the newest verified head that names nothing that is not here. */
  get served(): Buffer | null {
    const { revision } = this.options.state.position;
    if (this.#newest && this.#newest.revision <= revision) this.#served = this.#newest;
    return this.#served?.text === undefined ? null : Buffer.from(this.#served.text);
  }

  /** Verifies a head, and remembers it when it is accepted and says something new. Believes nothing else of it. */
  judge(bytes: Buffer, memory: HeadMemory): HeadVerdict {
    const { state, trusted } = this.options;
    const { position } = state;
    let head: Head;
    try {
      head = verifyHead(bytes, position.environment, trusted());
    } catch (error) {
      const { message } = error as Error;
      if (!(error instanceof FormatError)) return { code: 'malformed', detail: message };
      return { code: error.code, detail: error.code === 'untrusted_key' ? message + REMEDY : message };
    }
    const keptHash = (revision: number): string | null => hashOf(state.delta(revision));
    const { isOnePlace, newest: own } = memory;
    const newest = this.#newest;
    // revisions may come before the head that names them
    const termBegan = position.epoch > (newest?.epoch ?? 0) ? position.issuedAt : this.#termBegan;
    const fault = faultOfHead(head, { position, newest, own, isOnePlace, termBegan, keptHash });
    if (fault?.code === 'fork' && head.epoch === position.epoch) this.#noteFork(head.epoch);
    if (fault) return fault;
    if (own && goesBack(head, own)) return { head, isNewest: false };
    const { epoch, expiresAt, issuedAt, revision } = head;
    memory.freshUntil = Math.max(memory.freshUntil, expiresAt);
    memory.newest = { epoch, revision, hash: head.hash, issuedAt, expiresAt, text: bytes.toString() };
    if (isNews(memory.newest, this.#newest)) this.#learn(memory.newest);
    return { head, isNewest: true };
  }

  #noteFork(epoch: number): void {
    if (epoch <= this.#forkedEpoch) return;
    this.#forkedEpoch = epoch;
    if (this.#newest) void this.#keep(this.#newest);
  }

  #learn(head: Readonly<KnownHead>): void {
    const before = this.#newest;
    if (before && before.revision <= this.options.state.position.revision) this.#served = before;
    this.#newest = head;
    if (head.epoch !== before?.epoch) this.#termBegan = head.issuedAt;
    const fresh = this.#freshest && this.#freshest.issuedAt > head.issuedAt ? this.#freshest : head;
    this.#freshest = { ...head, issuedAt: fresh.issuedAt, expiresAt: fresh.expiresAt };
    void this.#keep(head);
    this.options.onHead(this.#freshest);
  }

  async #keep(head: Readonly<KnownHead>): Promise<void> {
    try {
      const forkedEpoch = this.#forkedEpoch < 0 ? undefined : this.#forkedEpoch;
      await this.options.state.saveHead({ ...head, forkedEpoch });
      this.#isLost = false;
    } catch (error) {
      // It counts all the same; what is missing is only that a restart would know of it. On a full disk that goes for each.
      if (this.#isLost) return;
      this.#isLost = true;
      const detail = (error as Error).message;
      this.options.log.warn({ detail }, 'the newest head could not be kept on the disk');
    }
  }
}

/** The hash of a revision that is known to be right: over all that its signature covers. */
export function hashOf(bytes: Buffer | null): string | null {
  return bytes && hash('sha256', decodeHeader(bytes).signed, 'hex');
}

function isNews(head: Readonly<KnownHead>, known: Readonly<KnownHead> | null): boolean {
  if (!known || head.epoch !== known.epoch) return !known || head.epoch > known.epoch;
  if (head.revision !== known.revision) return head.revision > known.revision;
  return head.issuedAt > known.issuedAt;
}
