import { pathToFileURL } from 'node:url';
import { LockHeldError, type ProcessLock, sleep, takeProcessLock } from '#platform';
import type { LocalConfig } from './config/config.js';
import { callDemo, DEMO_PATH } from './demo/demo-api.js';
import { publishDemo } from './demo/publish-demo.js';
import { startEchoUpstream } from './echo-upstream.js';
import { Home, type Secrets } from './home.js';
import { watchLog } from './log-watch.js';
import { MasterApi } from './master-api.js';
import { startNodeProcess } from './node-process.js';
import { checkPorts, type Ports, portsFrom } from './ports.js';
import { startPostgres, stopCluster } from './postgres/index.js';
import type { Summary } from './summary.js';
import { type Running, Supervised } from './supervised.js';
import { environmentsOf } from './topology.js';
import { newJoinToken, prepareTopology } from './topology-api.js';

type StartedRegion = Ports['regions'][number];

/** Processes of a start that was killed have this long to notice it and to leave their ports. */
const LEFTOVERS_MS = 5_000;
const DEMO_WITHIN_MS = 10_000;
const POLL_MS = 25;
const HOST = 'http://127.0.0.1';

/** All of Heliograph on this machine: starts it, keeps it running, and ends it without leaving a process. */
export class LocalSystem {
  private readonly home: Home;
  private readonly ports: Ports;
  private readonly stopping = new AbortController();
  private readonly services = new Map<string, Supervised<Running>>();
  private readonly cleanups: (() => void)[] = [];
  /** once all of it is ready */
  private secrets: Secrets | undefined;
  /** what became ready, and after how many milliseconds since this process began */
  readonly timeline: { what: string; afterMs: number }[] = [];

  /** @throws Error when the home cannot be used */
  constructor(
    private readonly config: LocalConfig,
    private readonly say: (text: string) => void,
  ) {
    this.home = new Home(config.home);
    this.ports = portsFrom(config.portBase, config.regions);
  }

  /** @throws Error in words for the user; `stop` is to be called in any case */
  async start(): Promise<Summary> {
    const { broken, release } = this.lock();
    this.cleanups.push(release, () => this.home.removeSummary());
    this.home.removeSummary();
    await stopCluster(this.home.postgres); // it would hold its port, and the data that may have to go
    await checkPorts(this.ports, broken ? LEFTOVERS_MS : 0);
    if (this.config.fresh) this.home.clear();
    const secrets = this.home.secrets();
    this.cleanups.push(await startEchoUpstream(this.ports.echo));
    // Replicas that have joined before serve from their own disks, and wait for nobody.
    const isNew = this.ports.regions.filter(({ id }) => !this.home.hasJoined(id));
    const joined = this.ports.regions.filter((region) => !isNew.includes(region));
    const [demos] = await Promise.all([
      this.startMaster(secrets, isNew),
      ...joined.map((region) => this.startReplica(region)),
    ]);
    await this.demoServes(demos);
    this.secrets = { ...secrets, demos };
    const summary = this.summarize(this.secrets);
    this.home.writeSummary(summary);
    return summary;
  }

  get isStopping(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Replicas and master finish what they do, then PostgreSQL. */
  async stop(): Promise<void> {
    await this.end((service) => service.stop());
  }

  /** Leaves no process either, but waits for nothing. */
  async kill(): Promise<void> {
    await this.end((service) => service.kill());
  }

  private async end(how: (service: Supervised<Running>) => Promise<void>): Promise<void> {
    this.stopping.abort(new Error('the system is stopping'));
    const { postgres, ...others } = Object.fromEntries(this.services);
    await Promise.all(Object.values(others).map(how));
    if (postgres) await how(postgres);
    for (const cleanup of this.cleanups.splice(0).reverse()) cleanup();
  }

  private lock(): ProcessLock {
    try {
      return takeProcessLock(this.home.lock);
    } catch (error) {
      if (!(error instanceof LockHeldError)) throw error;
      const advice = 'stop that one, or set HELIO_HOME and HELIO_PORT_BASE to others';
      throw new Error(`HELIO_HOME: npm start already runs on ${this.home.root}, as process ${error.pid}; ${advice}`, {
        cause: error,
      });
    }
  }

  /** The database, the master, regions that it does not know yet, and the demo where it is not published. */
  private async startMaster(secrets: Secrets, isNew: readonly StartedRegion[]): Promise<Secrets['demos']> {
    const log = this.home.newLog('postgres');
    const { postgres: port } = this.ports;
    const { url } = await this.supervise('postgres', 'PostgreSQL', log, () =>
      startPostgres({ dir: this.home.postgres, port, log, database: 'heliograph', signal: this.stopping.signal }),
    );
    await this.startApp('master', 'master', `${this.masterUrl}/readyz`, {
      DATABASE_URL: url,
      ARTIFACT_STORE: this.storeUrl,
      HELIO_SIGNING_KEY: this.home.signingKey,
      HELIO_BOOTSTRAP_ADMIN_TOKEN: secrets.adminToken,
      HELIO_ISSUER: this.masterUrl, // another HELIO_PORT_BASE than before is another one
      HELIO_ISSUER_NETWORKS: '127.0.0.0/8,::1', // issuers and webhooks on this machine can be tried
      HELIO_WEBHOOK_NETWORKS: '127.0.0.0/8,::1',
      HELIO_BIND: '127.0.0.1',
      PORT: `${this.ports.master}`,
    });
    const api = new MasterApi(this.masterUrl, secrets.adminToken);
    if (isNew.length > 0) await prepareTopology(api, isNew);
    const [demos] = await Promise.all([
      this.publish(api, secrets),
      ...isNew.map(async (region) => this.startReplica(region, await newJoinToken(api, region))),
    ]);
    return demos;
  }

  private async publish(api: MasterApi, secrets: Secrets): Promise<Secrets['demos']> {
    const demos = await publishDemo(api, {
      upstream: this.upstreamUrl,
      environments: environmentsOf(this.ports.regions),
      nonce: secrets.nonce,
      demos: secrets.demos,
      keep: (done) => this.home.keep({ ...secrets, demos: done }),
      say: this.say,
    });
    if (demos !== secrets.demos) this.mark('demo');
    return demos;
  }

  private async startReplica(region: StartedRegion, joinToken?: string): Promise<void> {
    await this.startApp('replica', region.id, `${HOST}:${region.admin}/readyz`, {
      HELIO_ENVIRONMENT: region.environment,
      HELIO_REGION: region.id,
      HELIO_MASTER_URL: this.masterUrl,
      ...(joinToken === undefined ? {} : { HELIO_JOIN_TOKEN: joinToken }),
      ARTIFACT_STORE: this.storeUrl,
      HELIO_STATE_DIR: this.home.stateOf(region.id),
      HELIO_WORKERS: '1',
      HELIO_BIND: '127.0.0.1',
      GATEWAY_PORT: `${region.gateway}`,
      ADMIN_PORT: `${region.admin}`,
    });
  }

  private async startApp(
    app: 'master' | 'replica',
    name: string,
    readyUrl: string,
    env: Record<string, string>,
  ): Promise<void> {
    const log = this.home.newLog(name);
    this.cleanups.push(watchLog(name, log, this.say));
    const start = () => startNodeProcess({ app, env, log, readyUrl, signal: this.stopping.signal });
    await this.supervise(name, name, log, start);
  }

  private async supervise<R extends Running>(
    id: string,
    name: string,
    log: string,
    start: () => Promise<R>,
  ): Promise<R> {
    this.stopping.signal.throwIfAborted();
    const restarted = () => this.noteRestart(name);
    const service = new Supervised<R>({ name, log, start, signal: this.stopping.signal, say: this.say, restarted });
    this.services.set(id, service);
    const running = await service.start();
    this.mark(name);
    return running;
  }

  private noteRestart(name: string): void {
    this.say(`${name} is back`);
    if (this.secrets) this.home.writeSummary(this.summarize(this.secrets));
  }

  /** The last revision may have to reach the regions first. A demo that somebody has changed is no reason not to start. */
  private async demoServes(demos: Secrets['demos']): Promise<void> {
    const deadline = Date.now() + DEMO_WITHIN_MS;
    const serves = async ({ gateway, environment }: StartedRegion): Promise<void> => {
      const url = HOST + `:${gateway}`;
      const key = demos[environment]?.key ?? '';
      for (;;) {
        const answer = await callDemo(url, key).then(
          ({ status }) => status,
          (error: unknown) => (error as Error).message,
        );
        if (answer === 200) return;
        if (Date.now() > deadline)
          return this.say(`${url}${DEMO_PATH} is answered ${answer} and not 200: has the demo been changed?`);
        await sleep(POLL_MS, this.stopping.signal);
        this.stopping.signal.throwIfAborted();
      }
    };
    await Promise.all(this.ports.regions.map(serves));
    this.mark('demo serves');
  }

  private summarize({ adminToken, demos }: Secrets): Summary {
    const regions = this.ports.regions.map(({ id, environment, gateway, admin }) => ({
      id,
      environment,
      gateway: `${HOST}:${gateway}`,
      admin: `${HOST}:${admin}`,
      pid: this.services.get(id)?.pid,
    }));
    const keys = Object.fromEntries(regions.map(({ environment }) => [environment, demos[environment]?.key ?? '']));
    const [first] = regions; // of prod, where there is one
    return {
      master: this.masterUrl,
      adminToken,
      store: this.storeUrl,
      upstream: this.upstreamUrl,
      regions,
      masterPid: this.services.get('master')?.pid,
      demo: { url: `${first?.gateway}${DEMO_PATH}`, key: keys[first?.environment ?? ''] ?? '', keys },
    };
  }

  private mark(what: string): void {
    this.timeline.push({ what, afterMs: Math.round(performance.now()) });
  }

  private get upstreamUrl(): string {
    return `${HOST}:${this.ports.echo}`;
  }

  private get masterUrl(): string {
    return `${HOST}:${this.ports.master}`;
  }

  private get storeUrl(): string {
    return pathToFileURL(this.home.store).href;
  }
}
