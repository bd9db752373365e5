import type { ReplicaStatus } from '#model';
import { type Logger, makeDirectory } from '#platform';
import type { AdminApp } from './admin/admin-app.js';
import type { Ask } from './admin/ask.service.js';
import type { Node } from './admin/node.js';
import type { ReplicaConfig } from './config/replica-config.js';
import { Following } from './following.js';
import type { PortCertificates } from './gateway/tls/port-certificates.js';
import type { WorkerPool } from './gateway/worker-pool.js';
import type { KnownHead } from './state/state-layout.js';
import { ServedPosition } from './state/served-position.js';
import { StateStore } from './state/state-store.js';
import { type NodeFacts, statusOf } from './status-view.js';
import { ChainShelf } from './sync/chain-shelf.js';
import { KeptCounts } from './throttle/kept-counts.js';
import type { RegionCounters } from './throttle/region-counters.js';
import type { ReplicaMetrics } from './telemetry/replica-metrics.js';
import { UsageKeeper } from './usage/usage-keeper.js';

/** What requests under way are given when the replica is told to stop. */
const DRAIN_MS = 5000;

/** Process 1 of a replica: the state, the gateway workers, the admin port, and what follows the chain. */
export class Replica {
  readonly #workers: WorkerPool;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #state: StateStore | null = null;
  #admin: AdminApp | null = null;
  #ask: Ask | null = null;
  #usage: UsageKeeper | null = null;
  #followed: Promise<void> = Promise.resolve();

  constructor(
    private readonly config: Readonly<ReplicaConfig>,
    workers: WorkerPool,
    private readonly counters: RegionCounters,
    private readonly certificates: PortCertificates,
    log: Logger,
  ) {
    this.#workers = workers;
    this.#log = log;
  }

  /**
   * Serves what is on the disk, and only then looks for others.
   *
   * @throws StateDirectoryError, or what keeps a port from being listened on; `stop` is to be called then, too
   */
  async start(): Promise<void> {
    const { adminBind, adminPort, environment, region, stateDir } = this.config;
    makeDirectory(stateDir, 0o700);
    const state = StateStore.open(stateDir, environment);
    this.#state = state;
    if (state.setAside)
      this.#log.warn(
        { movedTo: state.setAside },
        'what lay in the state directory is no state any more, and was put away; this replica fills a new one from its sources',
      );
    const usage = new UsageKeeper(stateDir, this.#log);
    this.#usage = usage;
    this.#workers.onUsage = (taken) => usage.add(taken);
    usage.start();
    this.counters.start(() => KeptCounts.open(stateDir));
    const gateway = this.#workers.start();
    gateway.catch(() => undefined); // waited for below
    // Loaded while the workers start: the framework takes longer than everything else here together.
    const [{ listenAdmin }, { Ask }, { ReplicaMetrics }] = await Promise.all([
      import('./admin/admin-app.js'),
      import('./admin/ask.service.js'),
      import('./telemetry/replica-metrics.js'),
    ]);
    const ask = new Ask(region, state.reader(), this.counters, this.#log);
    this.#ask = ask;
    usage.collect(ask.usage);
    const served = new ServedPosition(state.position);
    const status = (): ReplicaStatus => {
      const { nacks } = state;
      const { status: throttle } = this.counters;
      const { rate: traffic } = this.#workers.numbers.traffic;
      return statusOf({ ...following.facts, region, position: served.position, nacks, throttle, traffic }, Date.now());
    };
    const metrics = new ReplicaMetrics(
      region,
      status,
      () => state.diskBytes(),
      this.certificates,
      ask.decisions,
      this.counters,
    );
    const following = this.#newFollowing(state, served, ask, metrics, usage, status);
    const shelf = new ChainShelf(state, () => following.servedHead);
    const node: Node = {
      status: () => ({ ...status(), ...this.#nodeFacts(state, following) }),
      artifact: (name) => shelf.find(name),
      tails: this.#workers.tails,
      metrics: async () => (await metrics.registry.metrics()) + (await this.#workers.metrics()),
    };
    this.#admin = await listenAdmin({
      node,
      ask,
      log: this.#log,
      port: adminPort,
      host: adminBind,
      certificates: this.certificates.admin,
    });
    const ports = { gateway: await gateway, tls: this.#workers.tlsPort, admin: this.#admin.port };
    const { revision } = state.position;
    const news =
      revision > 0 ? 'the replica serves what is on its disk' : 'the replica has no state yet, and looks for its chain';
    this.#log.info({ environment, region, revision, ...ports }, news);
    this.#followed = following.run(this.#stopping.signal).catch((error: unknown) => {
      this.#log.error({ err: error }, 'following the chain has ended by a fault; what is loaded goes on serving');
    });
  }

  /** Ends what is under way within some seconds, and leaves no process; what `start` has not got to does not matter. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.certificates.stop();
    await Promise.all([this.#workers.stop(DRAIN_MS), this.#followed]);
    await this.#admin?.close();
    this.#ask?.close();
    await this.#usage?.stop();
    await this.counters.stop();
    await this.#state?.close();
  }

  #newFollowing(
    state: StateStore,
    served: ServedPosition,
    ask: Ask,
    metrics: ReplicaMetrics,
    usage: UsageKeeper,
    status: () => ReplicaStatus,
  ): Following {
    const onHead = (head: Readonly<KnownHead> | null): void => {
      this.#workers.setFreshness(head?.issuedAt ?? null);
      ask.setFreshness(head?.issuedAt ?? null);
    };
    onHead(state.head);
    const following = new Following({
      config: this.config,
      state,
      served: () => served.position,
      log: this.#log,
      status,
      onHead,
      onApplied: (ops, seconds) => {
        served.applied(state.position);
        this.#workers.announce();
        ask.announce();
        metrics.applied(ops, seconds);
      },
      onRefused: (code) => metrics.refused(code),
      numbers: () => this.#workers.numbers.releases.report(),
      tails: this.#workers.tails,
      tellUsage: (send, signal) => usage.tell(send, signal),
    });
    this.#workers.onServed = () => {
      if (served.loaded(this.#workers.servedRevision())) following.acknowledge();
    };
    return following;
  }

  #nodeFacts(state: StateStore, { store }: Following): NodeFacts {
    return {
      applied: state.position.revision,
      workers: this.#workers.status(),
      loaded: this.#workers.loadedRevision(),
      store,
      uptimeSeconds: Math.round(process.uptime()),
      certificates: this.certificates.status,
    };
  }
}
