import { pathToFileURL } from 'node:url';
import { LockHeldError, type ProcessLock, sleep, takeProcessLock } from '#platform';
import type { LocalConfig } from './config/config.js';
import { demoAnswer, DEMO_PATH, ENVIRONMENT, newJoinToken, placeDemo, prepareTopology, publishDemo } from './demo.js';
import { startEchoUpstream } from './echo-upstream.js';
import { Home, type Secrets } from './home.js';
import { watchLog } from './log-watch.js';
import { MasterApi } from './master-api.js';
import { startNodeProcess } from './node-process.js';
import { checkPorts, type Ports, portsFrom, REGIONS, type Region } from './ports.js';
import { startPostgres, stopCluster } from './postgres/index.js';
import { type Running, Supervised } from './supervised.js';

/** `local.json`: where everything is, for people's tools. */
export interface Summary {
  master: string;
  adminToken: string;
  store: string;
  regions: { id: string; environment: string; gateway: string; admin: string; pid: number | undefined }[];
  masterPid: number | undefined;
  demo: { url: string; key: string };
  /** of the demo: it answers with what it got */
  upstream: string;
}

/** Processes of a start that was killed have this long to notice it and to leave their ports. */
const LEFTOVERS_MS = 5_000;
const DEMO_WITHIN_MS = 5_000;
const POLL_MS = 25;
const HOST = 'http://127.0.0.1';

/** All of Heliograph on this machine: starts it, keeps it running, and ends it without leaving a process. */
export class LocalSystem {
  private readonly home: Home;
  private readonly ports: Ports;
  private readonly stopping = new AbortController();
  private readonly services = new Map<string, Supervised<Running>>();
  private readonly cleanups: (() => void)[] = [];
  private summary: Summary | undefined;
  /** what became ready, and after how many milliseconds since this process began */
  readonly timeline: { what: string; afterMs: number }[] = [];

  /** @throws Error when the home cannot be used */
  constructor(
    private readonly config: LocalConfig,
    private readonly say: (text: string) => void,
  ) {
    this.home = new Home(config.home);
    this.ports = portsFrom(config.portBase);
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
    const joined = REGIONS.filter((region) => this.home.hasJoined(region));
    const [demoKey] = await Promise.all([
      this.startMaster(secrets, joined),
      ...joined.map((region) => this.startReplica(region)),
    ]);
    await this.demoServes(demoKey);
    this.summary = this.summarize(secrets.adminToken, demoKey);
    this.home.writeSummary(this.summary);
    return this.summary;
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

  /** The database, the master, and what the first start publishes on it. @returns the key of the demo */
  private async startMaster(secrets: Secrets, joined: readonly Region[]): Promise<string> {
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
      HELIO_ISSUER_NETWORKS: '127.0.0.0/8,::1', // issuers on this machine can be tried
      HELIO_BIND: '127.0.0.1',
      PORT: `${this.ports.master}`,
    });
    const api = new MasterApi(this.masterUrl, secrets.adminToken);
    if (joined.length < REGIONS.length) await prepareTopology(api);
    const key = await this.publish(api, secrets);
    const missing = REGIONS.filter((region) => !joined.includes(region));
    await Promise.all(missing.map(async (region) => this.startReplica(region, await newJoinToken(api, region))));
    return key;
  }

  private async publish(api: MasterApi, secrets: Secrets): Promise<string> {
    const upstream = `${HOST}:${this.ports.echo}`;
    if (secrets.demo?.upstream === upstream) return secrets.demo.key;
    let key = secrets.demo?.key;
    if (key === undefined) key = await publishDemo(api, upstream, secrets.nonce);
    else await placeDemo(api, upstream); // HELIO_PORT_BASE is another one than before
    this.home.keep({ ...secrets, demo: { key, upstream } });
    this.mark('demo');
    return key;
  }

  private async startReplica(region: Region, joinToken?: string): Promise<void> {
    const { gateway, admin } = this.ports.regions[region];
    await this.startApp('replica', region, `${HOST}:${admin}/readyz`, {
      HELIO_ENVIRONMENT: ENVIRONMENT,
      HELIO_REGION: region,
      HELIO_MASTER_URL: this.masterUrl,
      ...(joinToken === undefined ? {} : { HELIO_JOIN_TOKEN: joinToken }),
      ARTIFACT_STORE: this.storeUrl,
      HELIO_STATE_DIR: this.home.stateOf(region),
      HELIO_WORKERS: '1',
      HELIO_BIND: '127.0.0.1',
      GATEWAY_PORT: `${gateway}`,
      ADMIN_PORT: `${admin}`,
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
    if (this.summary) this.home.writeSummary(this.summarize(this.summary.adminToken, this.summary.demo.key));
  }

  /** The last revision may have to reach the regions first. A demo that somebody has changed is no reason not to start. */
  private async demoServes(key: string): Promise<void> {
    const deadline = Date.now() + DEMO_WITHIN_MS;
    for (const region of REGIONS) {
      const url = this.gatewayUrl(region) + DEMO_PATH;
      let answer = await demoAnswer(url, key);
      while (answer !== 200 && Date.now() < deadline) {
        await sleep(POLL_MS, this.stopping.signal);
        this.stopping.signal.throwIfAborted();
        answer = await demoAnswer(url, key);
      }
      if (answer !== 200) this.say(`${url} is answered ${answer} and not 200: has the demo been changed?`);
    }
    this.mark('demo serves');
  }

  private summarize(adminToken: string, demoKey: string): Summary {
    return {
      master: this.masterUrl,
      adminToken,
      store: this.storeUrl,
      upstream: `${HOST}:${this.ports.echo}`,
      regions: REGIONS.map((id) => ({
        id,
        environment: ENVIRONMENT,
        gateway: this.gatewayUrl(id),
        admin: `${HOST}:${this.ports.regions[id].admin}`,
        pid: this.services.get(id)?.pid,
      })),
      masterPid: this.services.get('master')?.pid,
      demo: { url: this.gatewayUrl(REGIONS[0]) + DEMO_PATH, key: demoKey },
    };
  }

  private mark(what: string): void {
    this.timeline.push({ what, afterMs: Math.round(performance.now()) });
  }

  private gatewayUrl(region: Region): string {
    return `${HOST}:${this.ports.regions[region].gateway}`;
  }

  private get masterUrl(): string {
    return `${HOST}:${this.ports.master}`;
  }

  private get storeUrl(): string {
    return pathToFileURL(this.home.store).href;
  }
}
