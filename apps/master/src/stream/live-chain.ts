import { decodeHeader } from '#artifacts';
import type { SealedBytes } from '../publishing/index.js';
import { signHead, type Standing } from '../publishing/standing.js';
import type { StreamOptions } from './options.js';
import type { StreamChain } from './stream-chain.js';
import { Tail } from './tail.js';

/** Of each environment's newest revisions, in memory. */
const TAIL_BYTES = 16 * 1024 * 1024;
/** Newer by more than this, the chain is begun anew at its end; who is behind reads for itself. */
const MOST_REFILLED = 1_000;

/** Told of what a look at the database has brought. */
export interface LiveChainListener {
  /** there may be more to send */
  moved(): void;
  /** this is where the chain stands now */
  stands(standing: Standing): void;
  /** another chain is in the place of this one: who follows it has to ask anew where it stands */
  replaced(): void;
}

/** The end of one environment's chain as this process knows it: what it published itself, and what it reads of other masters'. */
export class LiveChain {
  readonly tail = new Tail(TAIL_BYTES);
  standing: Standing | null = null;
  private readonly reads = new Map<number, Promise<SealedBytes[]>>();
  /** when the standing was known to be the newest */
  private knownAt = 0;
  private signed: { standing: Standing; at: number; text: string } | null = null;
  private refreshing: Promise<void> | null = null;
  private refreshAgain = false;

  constructor(
    private readonly environment: string,
    private readonly chain: StreamChain,
    private readonly options: Pick<StreamOptions, 'signer' | 'limits' | 'log' | 'now'>,
    private readonly listener: LiveChainListener,
  ) {}

  get newest(): number {
    return this.standing?.revision ?? 0;
  }

  /** Whether another master may have published what this one has not heard of yet. */
  get isOld(): boolean {
    return this.options.now() - this.knownAt > this.options.limits.heartbeatMs;
  }

  /** The newest one that this process signed; signed anew when it has grown old or the chain has moved. */
  get head(): string {
    const { standing, signed, knownAt } = this;
    if (!standing) throw new Error(`the chain of ${this.environment} was not read yet`);
    const { heartbeatMs } = this.options.limits;
    if (signed?.standing === standing && knownAt - signed.at < heartbeatMs) return signed.text;
    const text = signHead(standing, knownAt, this.options.signer).toString('utf8');
    this.signed = { standing, at: knownAt, text };
    return text;
  }

  /** The next revision, made by this process. @returns false: it is not the next one here */
  publish(sealed: SealedBytes): boolean {
    if (sealed.revision !== this.newest + 1) return false;
    // it may be of a chain that was adopted and that this one does not know of yet
    if (this.standing && !decodeHeader(sealed.bytes).header.previous.equals(this.standing.hash)) return false;
    this.append(sealed);
    this.knownAt = this.options.now();
    return true;
  }

  /** The look at the database that is under way may have come too early. */
  lookAgain(): void {
    this.refreshAgain = true;
  }

  recent(revision: number): SealedBytes | undefined {
    return this.tail.get(revision);
  }

  /** Many replicas that come back stand at the same place: they share what is read. */
  read(revision: number): Promise<SealedBytes[]> {
    let reading = this.reads.get(revision);
    if (!reading) {
      reading = this.chain.after(this.environment, revision).finally(() => this.reads.delete(revision));
      this.reads.set(revision, reading);
    }
    return reading;
  }

  async hashOf(revision: number): Promise<string | null> {
    if (revision === 0 || revision > this.newest) return null;
    const hash = this.tail.get(revision)?.hash ?? (await this.chain.hashOf(this.environment, revision));
    return hash?.toString('hex') ?? null;
  }

  async beganWithOwnKey(): Promise<boolean> {
    const [first] = await this.read(0);
    return first === undefined || decodeHeader(first.bytes).header.keyId.equals(this.options.signer.keyId);
  }

  /** One at a time, and once more for whoever asked after it had begun. */
  refresh(): Promise<void> {
    if (this.refreshing) this.refreshAgain = true;
    this.refreshing ??= this.catchUp();
    return this.refreshing;
  }

  private async catchUp(): Promise<void> {
    try {
      do {
        this.refreshAgain = false;
        const before = this.newest;
        const at = this.options.now();
        const row = await this.chain.standing(this.environment);
        if (!row) throw new Error(`the environment ${this.environment} has no chain yet`);
        if (row.revision < before || (await this.isOther(row))) this.beginAnew(row);
        else if (this.standing && row.revision - this.newest <= MOST_REFILLED) await this.refill(row);
        else this.beginAt(row);
        this.knownAt = Math.max(this.knownAt, at);
        this.listener.stands(row);
        this.listener.moved();
      } while (this.refreshAgain);
    } finally {
      this.refreshing = null; // in one step with the look at refreshAgain
    }
  }

  private beginAt(row: Standing): void {
    this.tail.clear();
    this.standing = row;
  }

  private async refill(row: Standing): Promise<void> {
    while (this.newest < row.revision) {
      const from = this.newest;
      for (const sealed of await this.read(from)) {
        if (sealed.revision === this.newest + 1) this.append(sealed); // or this process has published it meanwhile
      }
      if (this.newest === from) throw new Error(`revision ${from + 1} of ${this.environment} cannot be read`);
      this.listener.moved();
    }
    // a new term of office without a revision yet, or a new snapshot
    const { standing } = this;
    const { epoch, snapshot } = row;
    if (standing && (standing.epoch < epoch || standing.snapshot?.revision !== snapshot?.revision))
      this.standing = { ...standing, epoch: Math.max(epoch, standing.epoch), snapshot };
  }

  /** Whether the chain of the database has another revision than this one streamed last. One that came with a snapshot says nothing. */
  private async isOther({ revision, hash }: Standing): Promise<boolean> {
    const { standing } = this;
    if (!standing || standing.revision === 0) return false;
    const there = revision === standing.revision ? hash : await this.chain.hashOf(this.environment, standing.revision);
    return there !== null && !there.equals(standing.hash);
  }

  private append(sealed: SealedBytes): void {
    this.tail.push(sealed);
    const { epoch, revision, hash, bytes } = sealed;
    const { root } = decodeHeader(bytes).header;
    const { environment, standing } = this;
    const snapshot = standing?.snapshot ?? null;
    this.standing = { environment, epoch: Math.max(epoch, standing?.epoch ?? 0), revision, hash, root, snapshot };
  }

  private beginAnew(row: Standing): void {
    this.options.log.warn(
      { environment: this.environment, from: this.newest, to: row.revision },
      'the database has another chain than before: it was restored or replaced, or an operator had one adopted',
    );
    this.beginAt(row);
    this.listener.replaced();
  }
}
