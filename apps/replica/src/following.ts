import { openStore, TrustedKeys } from '#artifacts';
import type { ReplicaStatus } from '#model';
import type { Logger } from '#platform';
import type { ReplicaConfig } from './config/replica-config.js';
import { type Identity, writeIdentity } from './identity/identity.js';
import { joinRegion, newReplicaId } from './identity/join.js';
import { MasterClient } from './master/master-client.js';
import { StatusReporter } from './master/status-reporter.js';
import type { KnownHead } from './state/state-layout.js';
import type { StateStore } from './state/state-store.js';
import type { ReplicaFacts } from './status-view.js';
import { StoreSource } from './sync/revision-source.js';
import { SyncAgent } from './sync/sync-agent.js';

export interface FollowingOptions {
  config: Readonly<ReplicaConfig>;
  state: StateStore;
  log: Logger;
  status: () => ReplicaStatus;
  onHead: (head: Readonly<KnownHead>) => void;
  onApplied: (ops: number, seconds: number) => void;
  onRefused: (code: string) => void;
}

/** Everything of a replica that needs others: joining, following the chain, reporting. It serves without. */
export class Following {
  #identity: Identity | null;
  #agent: SyncAgent | null = null;
  #reporter: StatusReporter | null = null;
  #store: string | null = null;
  #joinFault: ReplicaFacts['joinFault'] = null;

  constructor(private readonly options: FollowingOptions) {
    this.#identity = options.config.identity;
  }

  get facts(): Pick<ReplicaFacts, 'replica' | 'sync' | 'head' | 'joinFault'> {
    const { config, state } = this.options;
    return {
      // until the master has given it a name, it goes by its region's
      replica: this.#identity?.replica ?? config.replica ?? config.region,
      sync: this.#agent?.sync ?? null,
      head: this.#agent?.head ?? state.head,
      joinFault: this.#joinFault,
    };
  }

  /** where the chain comes from, for people */
  get store(): string | null {
    return this.#store;
  }

  /** Until the signal fires. What is known from the configuration does not wait for a join. */
  async run(signal: AbortSignal): Promise<void> {
    const { storeUrl, trustedKeys } = this.options.config;
    const known = storeUrl !== null && trustedKeys !== null;
    await Promise.all([
      known ? this.#follow(storeUrl, trustedKeys, signal) : undefined,
      this.#joinAndReport(!known, signal),
    ]);
  }

  async #joinAndReport(follows: boolean, signal: AbortSignal): Promise<void> {
    const { config, log, status } = this.options;
    const { master, storeUrl, trustedKeys } = config;
    if (!this.#identity?.joined) await this.#becomeSomebody(signal);
    const joined = this.#identity?.joined;
    if (!joined || !master) return;
    const client = new MasterClient(master.url);
    this.#reporter = new StatusReporter({ master: client, token: joined.token, status, log });
    await Promise.all([
      follows ? this.#follow(storeUrl ?? joined.store, trustedKeys ?? joined.trustedKeys, signal) : undefined,
      this.#reporter.run(signal),
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
      const client = new MasterClient(master.url);
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

  async #follow(storeUrl: string, trustedKeys: readonly string[], signal: AbortSignal): Promise<void> {
    const { config, log, onApplied, onHead, onRefused, state } = this.options;
    const store = openStore(storeUrl, { s3: config.s3 });
    this.#store = store.description;
    this.#agent = new SyncAgent({
      state,
      source: new StoreSource(store, config.environment),
      trusted: new TrustedKeys(trustedKeys),
      log,
      pollMs: config.pollMs,
      onHead,
      onApplied,
      onRefused,
      onChange: () => this.#reporter?.changed(),
    });
    try {
      await this.#agent.run(signal);
    } finally {
      await store.close();
    }
  }
}
