import cluster, { type Worker as ClusterWorker } from 'node:cluster';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { backoffMs, deferred, type Deferred, type Logger } from '#platform';
import { LocalCounterStore, systemClock } from '#throttle';
import type { FromWorker, ToWorker, WorkerOptions } from './ipc.js';

export interface WorkerPoolOptions {
  /** how many processes */
  workers: number;
  /** 0: any free one */
  port: number;
  /** default: all addresses */
  host?: string;
  stateDir: string;
  region: string;
  /** one JSON line per request on standard output */
  accessLog: boolean;
  /** answers of upstreams that one worker may keep */
  cacheBytes: number;
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
  told: boolean;
  listening: boolean;
  revision: number;
}

const SWEEP_MS = 10_000;
const METRICS_MS = 1000;
/** A worker that ends sooner than this after its start is started again with ever longer pauses. */
const STEADY_MS = 5000;
const RESTART_BASE_MS = 100;
const RESTART_MAX_MS = 10_000;

/** The gateway's processes, and what they share: the port, the counters, and the news of revisions. One per process. */
export class WorkerPool {
  /** counts the tokens of this node */
  readonly counters = new LocalCounterStore(systemClock);
  private readonly slots = new Map<string, Slot>();
  private readonly questions = new Map<number, { missing: Set<string>; answers: object[][]; done: Deferred<void> }>();
  private readonly restarts = new Set<NodeJS.Timeout>();
  private readonly sweeper: NodeJS.Timeout;
  private port = 0;
  private started: Deferred<number> | null = null;
  private serving = false;
  private headIssuedAt: number | null = null;
  private shortLives = 0;
  private nextName = 1;
  private nextQuestion = 1;
  private stopping = false;

  constructor(private readonly options: WorkerPoolOptions) {
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

  /** A revision was applied. */
  announce(): void {
    this.tellAll({ type: 'revision' });
  }

  /** @param headIssuedAt milliseconds since 1970: when the newest head was signed that was seen; null: none was */
  setFreshness(headIssuedAt: number | null): void {
    this.headIssuedAt = headIssuedAt;
    this.tellAll({ type: 'freshness', headIssuedAt });
  }

  /** The revision that every worker has loaded; 0 while none listens. */
  loadedRevision(): number {
    const revisions = [...this.slots.values()].filter(({ listening }) => listening).map(({ revision }) => revision);
    return revisions.length === 0 ? 0 : Math.min(...revisions);
  }

  status(): WorkerStatus[] {
    return [...this.slots.values()].map(({ name, process, listening, revision }) => ({
      name,
      pid: process.process.pid ?? null,
      listening,
      revision,
    }));
  }

  /** Prometheus text of all workers together; of those that do not answer in a second, nothing. */
  async metrics(): Promise<string> {
    const id = this.nextQuestion++;
    const listening = [...this.slots.values()].filter((slot) => slot.listening);
    const question = {
      missing: new Set(listening.map(({ name }) => name)),
      answers: [] as object[][],
      done: deferred<void>(),
    };
    if (listening.length === 0) return '';
    this.questions.set(id, question);
    for (const slot of listening) tell(slot, { type: 'metrics', id });
    const timer = setTimeout(() => question.done.resolve(), METRICS_MS);
    await question.done.promise;
    clearTimeout(timer);
    this.questions.delete(id);
    const { AggregatorRegistry } = await import('prom-client'); // not before somebody looks: it is not needed to start
    return AggregatorRegistry.aggregate(question.answers).metrics();
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
    for (const { told, process } of this.slots.values()) if (!told) process.process.kill('SIGKILL');
    // a worker's own end of the time comes first; this is for one that does not react
    const kill = setTimeout(() => {
      for (const { process } of this.slots.values()) process.process.kill('SIGKILL');
    }, graceMs + 500);
    await Promise.all(ended);
    clearTimeout(kill);
  }

  private fork(): void {
    const name = `${this.nextName++}`;
    const slot: Slot = {
      name,
      process: cluster.fork(),
      startedAt: performance.now(),
      booted: false,
      told: false,
      listening: false,
      revision: 0,
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
    const { host, stateDir, region, accessLog, cacheBytes, log } = this.options;
    return { name, port: this.port, host, stateDir, region, logLevel: log.level, accessLog, cacheBytes };
  }

  private letServe(slot: Slot): void {
    if (!this.serving || !slot.booted || slot.told) return;
    slot.told = true;
    tell(slot, { type: 'start', options: this.optionsOf(slot), headIssuedAt: this.headIssuedAt });
  }

  private receive(slot: Slot, message: FromWorker): void {
    switch (message.type) {
      case 'booted':
        slot.booted = true;
        return this.letServe(slot);
      case 'listening':
        slot.listening = true;
        slot.revision = message.revision;
        if (this.slots.size === this.options.workers && [...this.slots.values()].every(({ listening }) => listening))
          this.started?.resolve(message.port);
        return;
      case 'failed':
        if (this.started) this.started.reject(startError(this.port, message));
        else this.options.log.error({ worker: slot.name, reason: message.message }, 'a gateway worker could not start');
        return;
      case 'loaded':
        slot.revision = message.revision;
        return;
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
      case 'metrics':
        this.answer(slot, message.id, message.metrics);
        return;
      case 'ended':
        slot.listening = false;
    }
  }

  private answer(slot: Slot, id: number, metrics: object[] | null): void {
    const question = this.questions.get(id);
    if (!question?.missing.delete(slot.name)) return;
    if (metrics) question.answers.push(metrics);
    if (question.missing.size === 0) question.done.resolve();
  }

  private onExit(slot: Slot, code: number | null, signal: string | null): void {
    this.slots.delete(slot.name);
    this.counters.forget(slot.name);
    for (const id of this.questions.keys()) this.answer(slot, id, null);
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

function startError(port: number, { message, code }: { message: string; code: string | null }): Error {
  if (code === 'EADDRINUSE')
    return new Error(`the gateway port ${port} is taken: stop what listens there, or set GATEWAY_PORT to another`);
  if (code === 'EACCES')
    return new Error(
      `the gateway port ${port} may not be opened by this user: set GATEWAY_PORT to one above 1023, or allow it`,
    );
  if (code === 'EADDRNOTAVAIL') return new Error(`HELIO_BIND: this machine does not have the address: ${message}`);
  return new Error(`a gateway worker could not start: ${message}`);
}

async function freePort(host: string | undefined): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
