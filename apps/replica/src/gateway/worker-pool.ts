import { deferred, type Deferred } from '#platform';
import { type CounterStore, LocalCounterStore, systemClock } from '#throttle';
import type { UsageTaken } from '../usage/usage-tally.js';
import { CheckDuty } from './check-duty.js';
import { BOUNDS } from './engine/bounds.js';
import { closePorts, type GatewayPorts, openPorts } from './gateway-port.js';
import type { FromWorker, ToWorker, WorkerOptions } from './ipc.js';
import type { WorkerPoolOptions, WorkerSettings, WorkerStatus } from './pool-options.js';
import { Renewal, retire } from './renewal.js';
import { Restarts } from './restarts.js';
import { hasEnded, newSlot, type Slot, tell } from './slot.js';
import { Tails } from './tails.js';
import { WorkerNumbers } from './worker-numbers.js';

/** The gateway's processes, and what they share: the port, the counters, and the news of revisions. One per process. */
export class WorkerPool {
  /** the revision that all workers serve may have become newer */
  onServed: () => void = () => undefined;
  /** told of what the workers have counted; before it is set, they serve nothing */
  onUsage: (usage: UsageTaken) => void = () => undefined;
  readonly numbers: WorkerNumbers;
  readonly tails = new Tails((message) => this.tellAll(message));
  private readonly slots = new Map<string, Slot>();
  private readonly checks = new CheckDuty();
  private readonly restarts = new Restarts(() => this.fillUp());
  private ports: GatewayPorts | null = null;
  private booting: Promise<void> | null = null;
  private started: Deferred<number> | null = null;
  private renewal: Renewal | null = null;
  private serving = false;
  private headIssuedAt: number | null = null;
  private announced = 0;
  private nextName = 1;
  private stopping = false;

  /** @param counters of the tokens that workers spend; default: this pool's own */
  constructor(
    private options: Readonly<WorkerPoolOptions>,
    readonly counters: CounterStore = new LocalCounterStore(systemClock),
  ) {
    this.numbers = new WorkerNumbers(options.region);
    const watch = options.tls?.certificates;
    if (watch) watch.onChange = () => this.tellAll({ type: 'certificates', certificates: watch.certificates });
  }

  /** Opens the port and starts the processes, which then load their modules while the caller opens the state. */
  boot(): void {
    this.booting ??= this.open();
    this.booting.catch(() => undefined); // `start` waits for it
  }

  private async open(): Promise<void> {
    const { port, inheritedFd = null, tls, host, workers } = this.options;
    const ports = await openPorts(port, inheritedFd, tls?.port ?? null, host);
    if (this.stopping) return closePorts(ports);
    this.ports = ports;
    for (let i = 0; i < workers; i++) this.fork(ports);
  }

  /**
   * Lets the workers read the state, which is open now, and serve it.
   *
   * @returns the port, when every worker listens on it
   * @throws Error that names the port when it is taken or forbidden, or says what else kept a worker from starting
   */
  async start(): Promise<number> {
    this.boot();
    this.started = deferred();
    this.started.promise.catch(() => undefined); // waited for below
    this.serving = true;
    try {
      await this.booting;
      for (const slot of this.slots.values()) this.letServe(slot);
      return await this.started.promise;
    } catch (error) {
      await this.stop(0);
      throw error;
    } finally {
      this.started = null;
    }
  }

  /** A revision was applied. A worker that still loads an older one is told when it has: once for all that came meanwhile. */
  announce(): void {
    this.announced += 1;
    for (const slot of this.slots.values()) this.tellNews(slot);
    this.onServed(); // nobody may have to be waited for
  }

  /** @param headIssuedAt milliseconds since 1970: when the newest head was signed that was seen; null: none was */
  setFreshness(headIssuedAt: number | null): void {
    this.headIssuedAt = headIssuedAt;
    this.tellAll({ type: 'freshness', headIssuedAt });
  }

  /** The port in TLS; null: there is none, or none yet. */
  get tlsPort(): number | null {
    return this.ports?.tls?.port ?? null;
  }

  /** The revision that every worker has loaded; 0 while none listens. */
  loadedRevision(): number {
    const listening = [...this.slots.values()].some((slot) => slot.listening);
    return listening ? this.servedRevision() : 0;
  }

  /**
   * No request is answered by an older revision from now on. Infinity while there is no worker to answer one: each loads
   * the newest before it listens.
   */
  servedRevision(): number {
    return Math.min(...[...this.slots.values()].map(({ revision }) => revision ?? Number.POSITIVE_INFINITY));
  }

  /** How many there are to be. */
  get size(): number {
    return this.options.workers;
  }

  status(): WorkerStatus[] {
    return [...this.slots.values()].map(({ name, process, listening, revision }) => ({
      name,
      pid: process.pid ?? null,
      listening,
      revision: revision ?? 0,
    }));
  }

  /** Prometheus text of all workers together; of those that do not answer in a second, what they last told. */
  metrics(): Promise<string> {
    const listening = [...this.slots.values()].filter((slot) => slot.listening).map(({ name }) => name);
    return this.numbers.text(listening, (name, id) => {
      const slot = this.slots.get(name);
      if (slot) tell(slot, { type: 'numbers', id });
    });
  }

  /**
   * Puts new workers, with other settings, in the place of all that serve. The old ones end when the new ones take
   * connections, and what they have under way has.
   *
   * @throws Error when the new ones do not come to serve: the old ones go on then
   */
  async renew(settings: WorkerSettings): Promise<void> {
    const { ports } = this;
    if (!ports || this.started || this.renewal || this.stopping)
      throw new Error('the gateway is starting, ending, or getting new workers already');
    const before = { options: this.options, slots: [...this.slots.values()].filter(({ retired }) => !retired) };
    this.options = { ...this.options, ...settings };
    const fresh = Array.from({ length: settings.workers }, () => this.fork(ports));
    this.renewal = new Renewal(fresh);
    try {
      await this.renewal.done;
      for (const slot of before.slots) retire(slot);
    } catch (error) {
      this.options = before.options;
      for (const slot of fresh) retire(slot);
      throw error;
    } finally {
      this.renewal = null;
      this.fillUp(); // some may have died meanwhile
    }
  }

  /** Lets requests under way end, for `graceMs` at most, and ends all workers. */
  async stop(graceMs: number): Promise<void> {
    this.stopping = true;
    this.renewal?.stop();
    this.started?.reject(new Error('the gateway was stopped while it started'));
    await this.booting?.catch(() => undefined); // told by `start`
    const { ports } = this;
    this.ports = null;
    if (ports) await closePorts(ports); // clients are refused from now on, as soon as the last worker has closed it, too
    this.restarts.stop();
    const ended = [...this.slots.values()].map(
      (slot) =>
        new Promise<void>((resolve) => (hasEnded(slot) ? resolve() : slot.process.once('exit', () => resolve()))),
    );
    for (const slot of this.slots.values()) slot.listening = false;
    this.tellAll({ type: 'drain', graceMs, idleMs: BOUNDS.drainIdleMs });
    // serves nothing yet, and may not even hear
    for (const { serves, process } of this.slots.values()) if (!serves) process.kill('SIGKILL');
    // a worker's own end of the time comes first; this is for one that does not react
    const kill = setTimeout(() => {
      for (const { process } of this.slots.values()) process.kill('SIGKILL');
    }, graceMs + 500);
    await Promise.all(ended);
    clearTimeout(kill);
    this.numbers.close();
  }

  private fork(ports: GatewayPorts): Slot {
    const slot = newSlot(`${this.nextName++}`, ports);
    const { name } = slot;
    this.slots.set(name, slot);
    slot.process.on('message', (message: FromWorker) => this.receive(slot, message));
    slot.process.on('exit', (code, signal) => this.onExit(slot, code, signal));
    // A channel that breaks is followed by the end of the process. One that was told to end may be gone before it is told.
    slot.process.on('error', (error) => {
      if (!this.stopping) this.options.log.warn({ err: error, worker: name }, 'the channel to a gateway worker failed');
      if (slot.process.pid === undefined) this.onExit(slot, null, null); // it never was
    });
    return slot;
  }

  private optionsOf({ name }: Slot): WorkerOptions {
    const { stateDir, region, accessLog, cacheBytes, limits, traces, certificates, log, tls } = this.options;
    const told = { stateDir, region, accessLog, cacheBytes, limits, traces, certificates };
    const serverCertificates = tls?.certificates.certificates ?? null;
    return { ...told, name, logLevel: log.level, serverCertificates };
  }

  private letServe(slot: Slot): void {
    if (!this.serving || !slot.booted || slot.serves) return;
    slot.serves = true;
    slot.told = this.announced; // what it begins with is no older
    const { headIssuedAt, checks } = this;
    // before it listens: it would else send its first requests to targets that are down
    tell(slot, { type: 'start', options: this.optionsOf(slot), headIssuedAt, down: checks.down });
    checks.join(slot.name, (news) => tell(slot, news));
  }

  private receive(slot: Slot, message: FromWorker): void {
    switch (message.type) {
      case 'booted':
        slot.booted = true;
        return this.letServe(slot);
      case 'listening':
        slot.listening = true;
        this.renewal?.listens(slot);
        if (this.slots.size === this.options.workers && [...this.slots.values()].every(({ listening }) => listening))
          this.started?.resolve(message.port);
        return;
      case 'failed':
        if (this.started) this.started.reject(new Error(`a gateway worker could not start: ${message.message}`));
        else this.options.log.error({ worker: slot.name, reason: message.message }, 'a gateway worker could not start');
        return;
      case 'loaded':
        if (slot.revision === null) tell(slot, { type: 'listen' });
        slot.revision = message.revision;
        slot.isLoading = false;
        this.tellNews(slot);
        return this.onServed();
      case 'take':
        return this.take(slot, message);
      case 'give':
        this.counters.give(message.bucket, message.unused, message.lease);
        return;
      case 'numbers':
        this.onUsage(message.report.usage);
        return this.numbers.told(slot.name, message.report, message.id, this.slots.has(slot.name));
      case 'lines':
        return this.tails.told(message);
      case 'down':
        return this.checks.told(slot.name, message.checks);
      case 'ended':
        this.onUsage(message.report.usage);
        this.numbers.told(slot.name, message.report, 0, this.slots.has(slot.name));
        slot.listening = false;
        slot.revision = null;
        this.onServed();
    }
  }

  private take(slot: Slot, { id, bucket, wish }: Extract<FromWorker, { type: 'take' }>): void {
    this.counters.take(bucket, wish).then(
      (grant) => tell(slot, { type: 'granted', id, grant }),
      (error: unknown) => this.options.log.error({ err: error }, 'the counters have a fault'),
    );
  }

  private tellNews(slot: Slot): void {
    if (slot.isLoading || slot.told === this.announced) return;
    slot.told = this.announced;
    slot.isLoading = true;
    tell(slot, { type: 'revision' });
  }

  private onExit(slot: Slot, code: number | null, signal: string | null): void {
    this.slots.delete(slot.name);
    this.checks.leave(slot.name);
    this.onServed();
    this.numbers.ended(slot.name, !this.stopping && !slot.retired);
    if (this.stopping || slot.retired) return;
    const error = new Error(
      `a gateway worker ended while it started (${signal ?? `exit code ${code}`}); its log says more`,
    );
    this.started?.reject(error);
    this.renewal?.ended(slot, error);
    const pauseMs = this.restarts.plan(performance.now() - slot.startedAt);
    this.options.log.error(
      { worker: slot.name, pid: slot.process.pid, code, signal, pauseMs },
      'a gateway worker died and is replaced',
    );
  }

  /** As many workers as there are to be. While they are renewed, that is seen to when it is done. */
  private fillUp(): void {
    if (this.stopping || this.renewal || !this.ports) return;
    const count = [...this.slots.values()].filter(({ retired }) => !retired).length + this.restarts.waiting;
    for (let i = count; i < this.options.workers; i++) this.fork(this.ports);
  }

  private tellAll(message: ToWorker): void {
    for (const slot of this.slots.values()) tell(slot, message);
  }
}
