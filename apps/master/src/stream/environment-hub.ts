import { type Follow, decideIntent, type Intent } from './decide-intent.js';
import type { ConnectedReplica } from '../fleet/connected-replica.js';
import type { Published, SealedBytes } from '../publishing/index.js';
import { LiveChain } from './live-chain.js';
import type { StreamOptions } from './options.js';
import type { StreamChain } from './stream-chain.js';
import type { ChainFeed, StreamCloseName, StreamConnection } from './stream-connection.js';

/** After a revision, for all that follow it soon. */
const HEAD_MS = 200;

/** One environment's chain as this process streams it, and the replicas that are connected here. */
export class EnvironmentHub implements ChainFeed {
  readonly connections = new Map<string, StreamConnection>();
  /** how many connections have ended, by reason */
  readonly closed = new Map<string, number>();
  private readonly chain: LiveChain;
  private goneBytes = 0;
  private beating = false;
  private headTimer: NodeJS.Timeout | null = null;

  constructor(
    readonly environment: string,
    chain: StreamChain,
    private readonly options: StreamOptions,
    private readonly onAhead: () => void,
  ) {
    this.chain = new LiveChain(environment, chain, options, {
      moved: () => this.each((connection) => connection.pump()),
      stands: (standing) => this.each((connection) => connection.overtaken(standing)),
      replaced: () => this.closeAll('unavailable'),
    });
  }

  get newest(): number {
    return this.chain.newest;
  }

  get head(): string {
    return this.chain.head;
  }

  /** Of revisions, in memory. */
  get heldBytes(): number {
    return this.chain.tail.heldBytes;
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

  /** From this process, at once and without reading anything; from another one, read once for all connections. */
  published({ revision, sealed }: Published): void {
    const { chain } = this;
    if (!chain.standing) {
      chain.lookAgain(); // nobody else is here yet
    } else if (sealed && chain.publish(sealed)) {
      this.each((connection) => connection.pump());
      this.tellHeadSoon();
    } else if (revision > chain.newest || sealed === null) {
      // another master's, or a term that begins: whoever is told of the old epoch from then on does not stay
      void chain.refresh().then(
        () => this.tellHeadSoon(),
        (error: unknown) => this.unread(error as Error), // the next heartbeat tries again
      );
    }
  }

  recent(revision: number): SealedBytes | undefined {
    return this.chain.recent(revision);
  }

  read(revision: number): Promise<SealedBytes[]> {
    return this.chain.read(revision);
  }

  async intent(follow: Follow): Promise<{ intent: Intent; head: string }> {
    const { chain } = this;
    if (!chain.standing || chain.isOld || follow.revision > chain.newest || follow.epoch > chain.standing.epoch)
      await chain.refresh();
    const own = await chain.hashOf(follow.revision);
    const { standing } = chain;
    if (!standing) throw new Error(`the chain of ${this.environment} was not read yet`);
    const decided = decideIntent(follow, standing, own, this.options.limits.maxBacklog);
    // who has nothing yet trusts the keys of today only, and the first revisions may be signed by one that was retired
    const isStrange = follow.revision === 0 && decided.intent === 'changes' && !(await chain.beganWithOwnKey());
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

  counted(...report: Parameters<ChainFeed['counted']>): ReturnType<ChainFeed['counted']> {
    return this.options.usage.take(...report);
  }

  measured(...report: Parameters<ChainFeed['measured']>): void {
    this.options.measured(...report);
  }

  tailed(...report: Parameters<ChainFeed['tailed']>): void {
    this.options.tailed(...report);
  }

  /** Says where the chain stands to everybody here, and parts with those who may not be, or do not listen. */
  async beat(): Promise<void> {
    // several that waited for one slow database would count as several at once, and nobody answers those in time
    if (this.beating || this.connections.size === 0) return;
    const refusal = this.options.refusal(this.environment);
    if (refusal !== null) return this.closeAll('unavailable');
    this.beating = true;
    try {
      await this.chain.refresh();
      await this.partWithReplaced();
    } catch (error) {
      // the head of before goes out again, and grows old: this master does not know whether there is a newer one
      this.unread(error as Error);
    }
    this.beating = false;
    const head = this.chain.standing ? this.head : null;
    this.each((connection) => connection.beat(head));
  }

  closeAll(name: StreamCloseName): void {
    this.each((connection) => connection.close(name));
  }

  /** The database is away, or slow; everybody is told the same at the next heartbeat. */
  unread(error: Error): void {
    const { environment } = this;
    this.options.log.debug({ environment, cause: error.message }, 'the chain cannot be read; it is tried again');
  }

  private each(work: (connection: StreamConnection) => void): void {
    for (const connection of this.connections.values()) work(connection);
  }

  /** A replica that has revisions and no head that names them cannot vouch for them towards others when everything else is gone. */
  private tellHeadSoon(): void {
    this.headTimer ??= setTimeout(() => {
      this.headTimer = null;
      this.each((connection) => connection.tell(this.head));
    }, HEAD_MS).unref();
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
