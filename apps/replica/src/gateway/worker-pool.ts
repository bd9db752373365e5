import cluster, { type Worker as ClusterWorker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import { backoffMs, deferred, type Deferred, type Logger } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import { CheckDuty } from './check-duty.js';
import type { Limits } from './engine/limits.js';
import type { TraceOptions } from './engine/trace/trace-options.js';
import { freePort, startError } from './gateway-port.js';
import type { FromWorker, ToWorker, WorkerOptions } from './ipc.js';
import { WorkerNumbers } from './worker-numbers.js';

export interface WorkerPoolOptions {
  /** how many processes */
  workers: number;
  /** 0: any free one */
  port: number;
  /** default: all addresses */
  host?: string;
  stateDir: string;
  region: string;
  /** share of the requests that get a JSON line on standard output; 0: none */
  accessLog: number;
  /** answers of upstreams that one worker may keep */
  cacheBytes: number;
  traces: TraceOptions;
  /** what clients may cost each worker */
  limits: Limits;
  /** directory of certificates that upstreams are shown; null: there are none */
  certificates: string | null;
  log: Logger;
}

export interface WorkerStatus {
  name: string;
  pid: number | null;
  /** false: it starts, or was told to end */
  listening: boolean;
  revision: number;
}

interface Slot {
  name: string;
  process: ClusterWorker;
  startedAt: number;
  /** its modules are loaded, and it hears us */
  booted: boolean;
  /** it was told to serve */
  serves: boolean;
  listening: boolean;
  /** what it may answer a request by; null: it does not answer yet, or not any more */
  revision: number | null;
  /** which of the announcements it was told, and whether its answer is due */
  told: number;
  isLoading: boolean;
}

const SWEEP_MS = 10_000;
/** A worker that ends sooner than this after its start is started again with ever longer pauses. */
const STEADY_MS = 5000;
const RESTART_BASE_MS = 100;
const RESTART_MAX_MS = 10_000;

/** The gateway's processes, and what they share: the port, the counters, and the news of revisions. One per process. */
export class WorkerPool {
  /** counts the tokens of this node */
  readonly counters = new LocalCounterStore(systemClock);
  /** the revision that all workers serve may have become newer */
  onServed: () => void = () => undefined;
  private readonly numbers: WorkerNumbers;
  private readonly slots = new Map<string, Slot>();
  private readonly checks = new CheckDuty();
  private readonly restarts = new Set<NodeJS.Timeout>();
  private readonly sweeper: NodeJS.Timeout;
  private port = 0;
  private started: Deferred<number> | null = null;
  private serving = false;
  private headIssuedAt: number | null = null;
  private shortLives = 0;
  private announced = 0;
  private nextName = 1;
  private stopping = false;

  constructor(private readonly options: WorkerPoolOptions) {
    this.numbers = new WorkerNumbers(options.region);
    this.sweeper = setInterval(() => this.counters.sweep(), SWEEP_MS).unref();
  }

  /** Starts the processes, which then load their modules while the caller opens the state. */
  boot(): void {
    // Workers accept by themselves. Round robin would hand every connection over from this process, which is busy when it
    // applies a large revision, and would forget those that it is handing to a worker that dies.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: fileURLToPath(new URL('./worker.js', import.meta.url)), args: [] });
    for (let i = 0; i < this.options.workers; i++) this.fork();
  }

  /**
   * Lets the workers read the state, which is open now, and serve it.
   *
   * @returns the port, when every worker listens on it
   * @throws Error that names the port when it is taken or forbidden, or says what else kept a worker from starting
   */
  async start(): Promise<number> {
    if (this.slots.size === 0) this.boot();
    // All workers, and those that replace them, have to ask for the same port: 0 would mean another one each time.
    this.port = this.options.port === 0 ? await freePort(this.options.host) : this.options.port;
    this.started = deferred();
    this.serving = true;
    for (const slot of this.slots.values()) this.letServe(slot);
    try {
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

  status(): WorkerStatus[] {
    return [...this.slots.values()].map(({ name, process, listening, revision }) => ({
      name,
      pid: process.process.pid ?? null,
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

  /** Lets requests under way end, for `graceMs` at most, and ends all workers. */
  async stop(graceMs: number): Promise<void> {
    this.stopping = true;
    this.started?.reject(new Error('the gateway was stopped while it started'));
    clearInterval(this.sweeper);
    for (const timer of this.restarts) clearTimeout(timer);
    const ended = [...this.slots.values()].map(
      ({ process }) =>
        new Promise<void>((resolve) => (process.isDead() ? resolve() : process.once('exit', () => resolve()))),
    );
    for (const slot of this.slots.values()) slot.listening = false;
    this.tellAll({ type: 'drain', graceMs });
    // serves nothing yet, and may not even hear
    for (const { serves, process } of this.slots.values()) if (!serves) process.process.kill('SIGKILL');
    // a worker's own end of the time comes first; this is for one that does not react
    const kill = setTimeout(() => {
      for (const { process } of this.slots.values()) process.process.kill('SIGKILL');
    }, graceMs + 500);
    await Promise.all(ended);
    clearTimeout(kill);
    this.numbers.close();
  }

  private fork(): void {
    const name = `${this.nextName++}`;
    const slot: Slot = {
      name,
      process: cluster.fork(),
      startedAt: performance.now(),
      booted: false,
      serves: false,
      listening: false,
      revision: null,
      told: 0,
      isLoading: true,
    };
    this.slots.set(name, slot);
    slot.process.on('message', (message: FromWorker) => this.receive(slot, message));
    slot.process.on('exit', (code, signal) => this.onExit(slot, code, signal));
    // A channel that breaks is followed by the end of the process. One that was told to end may be gone before it is told.
    slot.process.on('error', (error) => {
      if (!this.stopping) this.options.log.warn({ err: error, worker: name }, 'the channel to a gateway worker failed');
    });
  }

  private optionsOf({ name }: Slot): WorkerOptions {
    const { host, stateDir, region, accessLog, cacheBytes, limits, traces, certificates, log } = this.options;
    const told = { host, stateDir, region, accessLog, cacheBytes, limits, traces, certificates };
    return { ...told, name, port: this.port, logLevel: log.level };
  }

  private letServe(slot: Slot): void {
    if (!this.serving || !slot.booted || slot.serves) return;
    slot.serves = true;
    slot.told = this.announced; // what it begins with is no older
    tell(slot, { type: 'start', options: this.optionsOf(slot), headIssuedAt: this.headIssuedAt });
  }

  private receive(slot: Slot, message: FromWorker): void {
    switch (message.type) {
      case 'booted':
        slot.booted = true;
        return this.letServe(slot);
      case 'listening':
        slot.listening = true;
        this.checks.join(slot.name, (news) => tell(slot, news));
        if (this.slots.size === this.options.workers && [...this.slots.values()].every(({ listening }) => listening))
          this.started?.resolve(message.port);
        return;
      case 'failed':
        if (this.started) this.started.reject(startError(this.port, message));
        else this.options.log.error({ worker: slot.name, reason: message.message }, 'a gateway worker could not start');
        return;
      case 'loaded':
        slot.revision = message.revision;
        slot.isLoading = false;
        this.tellNews(slot);
        return this.onServed();
      case 'take':
        tell(slot, {
          type: 'granted',
          id: message.id,
          grant: this.counters.take(slot.name, message.bucket, message.want),
        });
        return;
      case 'give':
        this.counters.give(slot.name, message.bucket, message.unused, message.window);
        return;
      case 'numbers':
        return this.numbers.told(slot.name, message.report, message.id, this.slots.has(slot.name));
      case 'down':
        return this.checks.told(slot.name, message.checks);
      case 'ended':
        this.numbers.told(slot.name, message.report, 0, this.slots.has(slot.name));
        slot.listening = false;
        slot.revision = null;
        this.onServed();
    }
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
    this.counters.forget(slot.name);
    this.onServed();
    this.numbers.ended(slot.name, !this.stopping);
    if (this.stopping) return;
    this.started?.reject(
      new Error(`a gateway worker ended while it started (${signal ?? `exit code ${code}`}); its log says more`),
    );
    this.shortLives = performance.now() - slot.startedAt < STEADY_MS ? this.shortLives + 1 : 0;
    const pauseMs =
      this.shortLives === 0 ? 0 : backoffMs(this.shortLives - 1, RESTART_BASE_MS, RESTART_MAX_MS, Math.random);
    this.options.log.error(
      { worker: slot.name, pid: slot.process.process.pid, code, signal, pauseMs },
      'a gateway worker died and is replaced',
    );
    const timer = setTimeout(() => {
      this.restarts.delete(timer);
      this.fork();
    }, pauseMs);
    this.restarts.add(timer);
  }

  private tellAll(message: ToWorker): void {
    for (const slot of this.slots.values()) tell(slot, message);
  }
}

function tell({ process }: Slot, message: ToWorker): void {
  if (process.isConnected()) process.send(message);
}
