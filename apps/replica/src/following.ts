import type { ReleaseNumbersReport, ReplicaStatus } from '#model';
import type { Logger } from '#platform';
import { chainSources, type Joined } from './chain-sources.js';
import type { ReplicaConfig } from './config/replica-config.js';
import type { Tails } from './gateway/tails.js';
import { type Identity, writeIdentity } from './identity/identity.js';
import { joinRegion, newReplicaId } from './identity/join.js';
import { MasterClient } from './master/master-client.js';
import { StatusReporter } from './master/status-reporter.js';
import type { KnownHead, StoredPosition } from './state/state-layout.js';
import type { StateStore } from './state/state-store.js';
import type { ReplicaFacts } from './status-view.js';
import { ChainTrust } from './sync/chain-trust.js';
import { RunState } from './sync/run-state.js';
import { StreamClient } from './sync/stream/stream-client.js';
import { SyncAgent } from './sync/sync-agent.js';
import type { SendUsage } from './usage/usage-keeper.js';
import { UsageSender } from './usage/usage-sender.js';

export interface FollowingOptions {
  config: Readonly<ReplicaConfig>;
  state: StateStore;
  /** as far as it is served: what is acknowledged */
  served: () => Readonly<StoredPosition>;
  log: Logger;
  status: () => ReplicaStatus;
  /** what releases have answered, since it was last asked for */
  numbers: () => ReleaseNumbersReport | undefined;
  /** of requests that a master may look at */
  tails: Tails;
  onHead: (head: Readonly<KnownHead>) => void;
  onApplied: (ops: number, seconds: number) => void;
  onRefused: (code: string) => void;
  /** tells a master what was counted, until the signal fires */
  tellUsage: (send: SendUsage, signal: AbortSignal) => Promise<void>;
}

/** Pauses between attempts to reach a master's stream. */
const STREAM_PACE = { baseMs: 500, maxMs: 15_000 };

/** Everything of a replica that needs others: joining, following the chain, reporting. It serves without. */
export class Following {
  #identity: Identity | null;
  #agent: SyncAgent | null = null;
  #stream: StreamClient | null = null;
  #reporter: StatusReporter | null = null;
  #store: string | null = null;
  #joinFault: ReplicaFacts['joinFault'] = null;

  constructor(private readonly options: FollowingOptions) {
    this.#identity = options.config.identity;
  }

  get facts(): Pick<ReplicaFacts, 'replica' | 'sync' | 'source' | 'head' | 'joinFault'> {
    const { config, state } = this.options;
    return {
      // until the master has given it a name, it goes by its region's
      replica: this.#identity?.replica ?? config.replica ?? config.region,
      sync: this.#agent?.sync ?? null,
      source: this.#agent?.source ?? 'none',
      head: this.#agent?.heads.freshest ?? state.head,
      joinFault: this.#joinFault,
    };
  }

  /** where the chain is fetched, for people */
  get store(): string | null {
    return this.#store;
  }

  /** The exact bytes of the newest head whose revision is here: what others may follow from here. */
  get servedHead(): Buffer | null {
    return this.#agent?.heads.served ?? null;
  }

  /** What is served has become newer. */
  acknowledge(): void {
    this.#stream?.acknowledge();
    this.#reporter?.changed();
  }

  /** Until the signal fires. What is known from the configuration does not wait for a join. */
  async run(signal: AbortSignal): Promise<void> {
    const meanwhile = new AbortController();
    const stop = (): void => meanwhile.abort();
    signal.addEventListener('abort', stop, { once: true });
    const wasJoined = this.#identity?.joined ?? null;
    const early = wasJoined ? undefined : this.#follow(null, meanwhile.signal);
    if (!wasJoined) await this.#becomeSomebody(signal);
    const joined = this.#identity?.joined ?? null;
    if (joined) {
      // begun anew, with the master among the sources: all that it knows is on the disk
      stop();
      await early;
      await this.#followJoined(joined, signal);
    }
    await early;
  }

  async #followJoined(joined: Joined, signal: AbortSignal): Promise<void> {
    const { config, log, numbers, served, state, status, tails } = this.options;
    if (!config.master) return this.#follow(joined, signal);
    const { urls } = config.master;
    const stream = new StreamClient({
      urls,
      token: joined.token,
      position: () => state.position,
      served: () => {
        const { appliedAt, issuedAt, revision } = served();
        return { revision, lagMs: revision > 0 ? appliedAt - issuedAt : null };
      },
      delta: (revision) => state.delta(revision),
      status,
      numbers,
      tails,
      log,
      running: new RunState(signal, STREAM_PACE),
    });
    this.#stream = stream;
    const usage = new UsageSender(stream, new MasterClient(urls), joined.token);
    this.#reporter = new StatusReporter({
      master: new MasterClient(urls),
      token: joined.token,
      status,
      numbers,
      log,
      isNeeded: () => !stream.isUp,
    });
    await Promise.all([
      this.#follow(joined, signal),
      this.#reporter.run(signal),
      this.options.tellUsage((report, until) => usage.send(report, until), signal),
    ]);
  }

  /** By joining, or, where there is no master to join, by itself. */
  async #becomeSomebody(signal: AbortSignal): Promise<void> {
    const { environment, master, region, replica: wished, s3, stateDir } = this.options.config;
    const replica = wished ?? this.#identity?.replica ?? null;
    if (master?.joinToken) {
      const { joinToken } = master;
      const onFault = (fault: { code: string; detail: string }): void => this.#onJoinFault(fault);
      const { log } = this.options;
      const client = new MasterClient(master.urls);
      const options = { master: client, joinToken, environment, region, replica, s3, stateDir, log, onFault };
      this.#identity = (await joinRegion(options, signal)) ?? this.#identity;
      if (this.#identity?.joined) this.#joinFault = null;
    } else if (!this.#identity) {
      this.#identity = { version: 1, environment, region, replica: replica ?? newReplicaId(region), joined: null };
      try {
        writeIdentity(stateDir, this.#identity);
      } catch (error) {
        const detail = (error as Error).message;
        this.options.log.warn(
          { detail },
          'the id of this replica could not be kept; the next start will have another one',
        );
      }
    }
  }

  #onJoinFault({ code, detail }: { code: string; detail: string }): void {
    if (this.#joinFault?.code === code && this.#joinFault.detail === detail) return;
    this.#joinFault = { code, detail, at: Date.now() };
  }

  /** Returns at once where it is not known yet what to follow, or whom to believe. */
  async #follow(joined: Joined | null, signal: AbortSignal): Promise<void> {
    const { config, log, onApplied, onHead, onRefused, state } = this.options;
    const given = { configured: config.trustedKeys, joined: joined?.trustedKeys ?? [] };
    const sources = chainSources(config, joined);
    if ((!given.configured && !joined) || sources.length === 0) return;
    this.#store = sources[0]?.description ?? null;
    this.#agent = new SyncAgent({
      state,
      sources,
      stream: this.#stream,
      trusted: new ChainTrust(given, state, log).keys,
      log,
      pollMs: config.pollMs,
      streamPollMs: config.streamPollMs,
      onHead,
      onApplied,
      onRefused,
      onChange: () => this.#reporter?.changed(),
    });
    try {
      await this.#agent.run(signal);
    } finally {
      await Promise.all(sources.map(({ reader }) => reader.close()));
    }
  }
}
