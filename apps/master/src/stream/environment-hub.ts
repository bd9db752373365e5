import { decodeHeader } from '#artifacts';
import { type Follow, decideIntent, type Intent } from './decide-intent.js';
import type { ConnectedReplica } from '../fleet/connected-replica.js';
import type { Published, SealedBytes } from '../publishing/index.js';
import { liveHead } from './live-head.js';
import type { StreamOptions } from './options.js';
import type { Standing, StreamChain } from './stream-chain.js';
import type { ChainFeed, StreamCloseName, StreamConnection } from './stream-connection.js';
import { Tail } from './tail.js';

/** Of each environment's newest revisions, in memory. */
const TAIL_BYTES = 16 * 1024 * 1024;
/** Newer by more than this, the chain is begun anew at its end; who is behind reads for itself. */
const MOST_REFILLED = 1_000;
/** After a revision, for all that follow it soon. */
const HEAD_MS = 200;

/** One environment's chain as this process streams it, and the replicas that are connected here. */
export class EnvironmentHub implements ChainFeed {
  readonly connections = new Map<string, StreamConnection>();
  readonly tail = new Tail(TAIL_BYTES);
  /** how many connections have ended, by reason */
  readonly closed = new Map<string, number>();
  private goneBytes = 0;
  private readonly reads = new Map<number, Promise<SealedBytes[]>>();
  private standing: Standing | null = null;
  /** when the standing was known to be the newest */
  private knownAt = 0;
  private signed: { standing: Standing; at: number; text: string } | null = null;
  private refreshing: Promise<void> | null = null;
  private refreshAgain = false;
  private beating = false;
  private headTimer: NodeJS.Timeout | null = null;

  constructor(
    readonly environment: string,
    private readonly chain: StreamChain,
    private readonly options: StreamOptions,
    private readonly onAhead: () => void,
  ) {}

  get newest(): number {
    return this.standing?.revision ?? 0;
  }

  /** In frames, since the process began. */
  get sentBytes(): number {
    return [...this.connections.values()].reduce((sum, { outflow }) => sum + outflow.sent, this.goneBytes);
  }

  /** A newer connection of a replica replaces the older one. */
  join(connection: StreamConnection): void {
    const { id } = connection.replica;
    this.connections.get(id)?.close('replaced');
    this.connections.set(id, connection);
  }

  leave(connection: StreamConnection): void {
    const { id } = connection.replica;
    if (this.connections.get(id) === connection) this.connections.delete(id);
    this.goneBytes += connection.outflow.sent;
    const reason = connection.endedFor ?? 'by_replica';
    this.closed.set(reason, (this.closed.get(reason) ?? 0) + 1);
  }

  /** The newest one that this process signed; signed anew when it has grown old or the chain has moved. */
  get head(): string {
    const { standing, signed, knownAt } = this;
    if (!standing) throw new Error(`the chain of ${this.environment} was not read yet`);
    const { heartbeatMs } = this.options.limits;
    if (signed?.standing === standing && knownAt - signed.at < heartbeatMs) return signed.text;
    const text = liveHead(standing, knownAt, this.options.signer).toString('utf8');
    this.signed = { standing, at: knownAt, text };
    return text;
  }

  /** From this process, at once and without reading anything; from another one, read once for all connections. */
  published({ revision, sealed }: Published): void {
    const { standing } = this;
    if (!standing) {
      this.refreshAgain = true; // the first look may have come too early for it; nobody else is here yet
      return;
    }
    if (sealed && sealed.revision === standing.revision + 1) {
      this.append(sealed);
      this.knownAt = this.options.now();
      this.pump();
      this.tellHeadSoon();
    } else if (revision > standing.revision || sealed === null) {
      // another master's, or a term that begins: whoever is told of the old epoch from then on does not stay
      void this.refresh().then(
        () => this.tellHeadSoon(),
        () => undefined,
      ); // the next heartbeat tries again
    }
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

  async intent(follow: Follow): Promise<{ intent: Intent; head: string }> {
    // another master may have published what this one has not heard of yet
    const isOld = this.options.now() - this.knownAt > this.options.limits.heartbeatMs;
    if (!this.standing || isOld || follow.revision > this.newest || follow.epoch > this.standing.epoch)
      await this.refresh();
    const own = await this.hashOf(follow.revision);
    const { standing } = this;
    if (!standing) throw new Error(`the chain of ${this.environment} was not read yet`);
    const decided = decideIntent(follow, standing, own, this.options.limits.maxBacklog);
    // who has nothing yet trusts the keys of today only, and the first revisions may be signed by one that was retired
    const isStrange = follow.revision === 0 && decided.intent === 'changes' && !(await this.beganWithOwnKey());
    const intent: Intent = isStrange
      ? { intent: 'full', reason: 'too_far_behind', detail: 'the first revisions are signed by an earlier key' }
      : decided;
    if (intent.intent === 'full' && intent.reason === 'ahead') this.onAhead();
    return { intent, head: this.head };
  }

  acknowledged(replica: ConnectedReplica, revision: number, lagMs: number | null): void {
    this.options.fleet.acknowledged(replica, revision, lagMs);
  }

  reported(...report: Parameters<ChainFeed['reported']>): void {
    this.options.fleet.reported(...report);
  }

  /** Says where the chain stands to everybody here, and parts with those who may not be, or do not listen. */
  async beat(): Promise<void> {
    // several that waited for one slow database would count as several at once, and nobody answers those in time
    if (this.beating || this.connections.size === 0) return;
    const refusal = this.options.refusal(this.environment);
    if (refusal !== null) return this.closeAll('unavailable');
    this.beating = true;
    try {
      await this.refresh();
      await this.partWithReplaced();
    } catch (error) {
      // the head of before goes out again, and grows old: this master does not know whether there is a newer one
      this.options.log.debug(
        { environment: this.environment, cause: (error as Error).message },
        'where the chain stands cannot be read',
      );
    }
    this.beating = false;
    const head = this.standing ? this.head : null;
    for (const connection of this.connections.values()) connection.beat(head);
  }

  closeAll(name: StreamCloseName): void {
    for (const connection of this.connections.values()) connection.close(name);
  }

  private append(sealed: SealedBytes): void {
    this.tail.push(sealed);
    const { epoch, revision, hash, bytes } = sealed;
    const { root } = decodeHeader(bytes).header;
    const { environment, standing } = this;
    const snapshot = standing?.snapshot ?? null;
    this.standing = { environment, epoch: Math.max(epoch, standing?.epoch ?? 0), revision, hash, root, snapshot };
  }

  /** A replica that has revisions and no head that names them cannot vouch for them towards others when everything else is gone. */
  private tellHeadSoon(): void {
    this.headTimer ??= setTimeout(() => {
      this.headTimer = null;
      for (const connection of this.connections.values()) connection.tell(this.head);
    }, HEAD_MS).unref();
  }

  private pump(): void {
    for (const connection of this.connections.values()) connection.pump();
  }

  private async hashOf(revision: number): Promise<string | null> {
    if (revision === 0 || revision > this.newest) return null;
    const hash = this.tail.get(revision)?.hash ?? (await this.chain.hashOf(this.environment, revision));
    return hash?.toString('hex') ?? null;
  }

  private async beganWithOwnKey(): Promise<boolean> {
    const [first] = await this.read(0);
    return first === undefined || decodeHeader(first.bytes).header.keyId.equals(this.options.signer.keyId);
  }

  /** One at a time, and once more for whoever asked after it had begun. */
  private refresh(): Promise<void> {
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
        for (const connection of this.connections.values()) connection.overtaken(row);
        this.pump();
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
      this.pump();
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

  /** Another chain is in the place of this one: who is here has to ask anew where it stands. */
  private beginAnew(row: Standing): void {
    this.options.log.warn(
      { environment: this.environment, from: this.newest, to: row.revision },
      'the database has another chain than before: it was restored or replaced, or an operator had one adopted',
    );
    this.beginAt(row);
    this.closeAll('unavailable');
  }

  /**
   * Replicas that were removed, or that joined again: their tokens of before are refused. And those that have a newer connection to
   * another master: for one that says nothing, nothing is written that would show it.
   */
  private async partWithReplaced(): Promise<void> {
    const here = [...this.connections.values()];
    const gone = await this.options.query<{ id: string; known: boolean }>(REPLACED, [
      this.environment,
      here.map(({ replica }) => replica.id),
      here.map(({ replica }) => replica.tokenHash),
      here.map(({ replica }) => replica.since),
    ]);
    const known = new Map(gone.map(({ id, known }) => [id, known]));
    for (const connection of here) {
      const isKnown = known.get(connection.replica.id);
      if (isKnown !== undefined) connection.close(isKnown ? 'replaced' : 'unauthenticated');
    }
  }
}

const REPLACED = `
  SELECT h.id, r.id IS NOT NULL AS known FROM unnest($2::text[], $3::bytea[], $4::timestamptz[]) AS h (id, token_hash, since)
  LEFT JOIN (replica r JOIN region g ON g.id = r.region_id AND g.environment_id = $1) ON r.id = h.id AND r.token_hash = h.token_hash
  WHERE r.id IS NULL OR r.connected_since > h.since`;
