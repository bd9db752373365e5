import { setImmediate as turn } from 'node:timers/promises';
import { createLog, type Logger, type LogLevel } from '#platform';
import { LeaseBook } from '#throttle';
import { openStateReader } from '../state/state-reader.js';
import type { StateReader } from '../state/state-snapshot.js';
import { ChannelCounterStore } from './channel-counter-store.js';
import { ResponseCache } from './decide/cache/response-cache.js';
import { CompiledState } from './decide/compile/compiled-state.js';
import { AccessLog } from './engine/access-log.js';
import { AccessTail } from './engine/access-tail.js';
import { BOUNDS } from './engine/bounds.js';
import { Engine } from './engine/engine.js';
import { LineSink } from './engine/line-sink.js';
import { GatewayMetrics } from './engine/metrics.js';
import { tracingOf } from './engine/trace/trace-options.js';
import { type FromWorker, PORT_FD, TLS_PORT_FD, type ToWorker, type WorkerOptions } from './ipc.js';
import type { Certificate } from './tls/certificate.js';
import { TlsPort } from './tls/tls-port.js';
import { resolveBySystem } from './upstream/address-book.js';
import { TargetPools } from './upstream/target-pools.js';

const SWEEP_MS = 250;
/** Where lines of requests go, and how long they, and spans, may still take at the end. */
const STDOUT = 1;
const FLUSH_MS = 300;
/** How much of what was counted a worker may take with it when it is killed. */
const REPORT_MS = 5000;
/** After a revision could not be read. */
const RELOAD_MS = 1000;
/** What a worker with a fault of its own gives the requests that it is serving. */
const FAULT_GRACE_MS = 5000;

/** One gateway process: the state compiled, the engine, and the tokens it was lent. Ends with process 1. */
class Worker {
  private readonly state: CompiledState;
  private readonly counters = new ChannelCounterStore(send);
  private readonly leases = new LeaseBook(this.counters, monotonic);
  private readonly pools: TargetPools;
  private readonly metrics = new GatewayMetrics();
  private readonly tail = new AccessTail((lines) => send({ type: 'lines', ...lines }), Date.now);
  private readonly engine: Engine;
  private readonly tls: TlsPort | null;
  private readonly sweeper: NodeJS.Timeout;
  private readonly reporter: NodeJS.Timeout;
  private reported = '';
  private retry: NodeJS.Timeout | null = null;
  private ending = false;

  constructor(
    options: WorkerOptions,
    private readonly reader: StateReader,
    private readonly log: Logger,
  ) {
    this.state = new CompiledState(options.region);
    this.pools = new TargetPools({
      now: monotonic,
      wallMs: Date.now,
      log,
      certificates: options.certificates,
      resolve: resolveBySystem,
      random: Math.random,
    });
    this.pools.checks.onChange = () => send({ type: 'down', checks: this.pools.checks.downList });
    const accessLog =
      options.accessLog > 0 ? new AccessLog(new LineSink(STDOUT), options.accessLog, Math.random, Date.now) : null;
    const cache = new ResponseCache(options.cacheBytes);
    const { state, leases, pools, metrics, tail } = this;
    this.engine = new Engine({
      state,
      leases,
      pools,
      cache,
      metrics,
      log,
      accessLog,
      tail,
      tracing: tracingOf(options.traces, log),
      limits: options.limits,
      now: monotonic,
      wallMs: Date.now,
    });
    this.tls = options.serverCertificates && new TlsPort(this.engine, options.serverCertificates);
    this.sweeper = setInterval(() => {
      this.leases.sweep();
    }, SWEEP_MS);
    this.reporter = setInterval(() => this.report(0), REPORT_MS);
  }

  start(headIssuedAt: number | null, down: readonly string[]): void {
    this.pools.checks.learn(down);
    this.state.headIssuedAt = headIssuedAt;
    this.load();
  }

  /** What is served is known to process 1, so that no revision is acknowledged which this worker does not have. */
  private async listen(): Promise<void> {
    if (this.ending) return;
    try {
      await this.tls?.listen({ fd: TLS_PORT_FD });
      send({ type: 'listening', port: await this.engine.listen({ fd: PORT_FD }) });
    } catch (error) {
      failed(error);
    }
  }

  receive(message: ToWorker): void {
    switch (message.type) {
      case 'start':
        return;
      case 'listen':
        void this.listen();
        return;
      case 'revision':
        return this.load();
      case 'freshness':
        this.state.headIssuedAt = message.headIssuedAt;
        return;
      case 'certificates':
        return this.useCertificates(message.certificates);
      case 'granted':
        return this.counters.granted(message.id, message.grant);
      case 'numbers':
        return this.report(message.id);
      case 'down':
        return this.pools.checks.learn(message.checks);
      case 'check':
        return this.pools.checks.begin();
      case 'tail':
        return this.tail.hold(message.wish);
      case 'drain':
        void this.end(message.graceMs, message.idleMs, 0);
    }
  }

  /** Serves what is being served, gives back what was lent, and ends the process. */
  async end(graceMs: number, idleMs: number, code: number): Promise<void> {
    if (this.ending) return this.engine.drain(graceMs, idleMs);
    this.ending = true;
    await this.engine.drain(graceMs, idleMs);
    // connections that were broken off say so when their sockets have closed, and count until then
    for (let i = 0; i < 2; i++) await turn();
    this.tail.close();
    await Promise.all([this.engine.accessLog?.flush(FLUSH_MS), this.engine.tracing.exporter?.close(FLUSH_MS)]);
    clearInterval(this.sweeper);
    clearInterval(this.reporter);
    const report = this.metrics.report(this.engine);
    this.leases.close();
    this.state.close();
    await this.reader.close();
    lastWord({ type: 'ended', report }, code);
  }

  /** Process 1 has read them, and found them good. */
  private useCertificates(certificates: Certificate[]): void {
    try {
      this.tls?.use(certificates);
    } catch (error) {
      this.log.error({ err: error }, 'certificates cannot be used; those before go on serving');
    }
  }

  private report(id: number): void {
    send({ type: 'numbers', id, report: this.metrics.report(this.engine) });
  }

  /** Goes over to the newest revision, and says which one serves; on any trouble it is the one before, and it is tried again. */
  private load(): void {
    try {
      const { state } = this;
      const snapshot = this.reader.snapshot();
      const isNews = snapshot.revision !== state.revision || snapshot.repairs !== state.repairs;
      if (isNews) state.refresh(snapshot);
      else snapshot.close();
      if (isNews) this.pools.checks.follow(state.checked);
      if (isNews) this.reportFaults();
    } catch (error) {
      this.log.error(
        { err: error, revision: this.state.revision },
        'a revision could not be loaded; the one before goes on serving',
      );
      this.retry ??= setTimeout(() => {
        this.retry = null;
        this.load();
      }, RELOAD_MS).unref();
    }
    send({ type: 'loaded', revision: this.state.revision });
  }

  private reportFaults(): void {
    const { faults } = this.state;
    const text = JSON.stringify(faults);
    if (text === this.reported) return;
    this.reported = text;
    if (faults.length > 0)
      this.log.error(
        { faults: faults.slice(0, 20), count: faults.length },
        'parts of the revision cannot be served; what served before goes on',
      );
  }
}

function send(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}

/** Ends the process when everything that was sent is out of it. */
function lastWord(message: FromWorker, code: number): void {
  if (process.connected) process.send?.(message, () => process.exit(code));
  else process.exit(code);
}

/** It could not start. */
function failed(error: unknown): void {
  lastWord({ type: 'failed', message: (error as Error).message }, 1);
}

function monotonic(): number {
  return performance.now();
}

function startWorker({ options, headIssuedAt, down }: Extract<ToWorker, { type: 'start' }>): Worker | null {
  const log = createLog('replica', options.logLevel as LogLevel).child({ worker: options.name });
  try {
    const worker = new Worker(options, openStateReader(options.stateDir), log);
    process.on('uncaughtException', (error) => {
      log.error({ err: error }, 'a fault outside of any request; this worker ends and is replaced');
      void worker.end(FAULT_GRACE_MS, BOUNDS.drainIdleMs, 1);
    });
    worker.start(headIssuedAt, down);
    return worker;
  } catch (error) {
    failed(error);
    return null;
  }
}

// Process 1 gets the signals, too, and says when and how long to drain.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('SIGHUP', () => undefined);
// `send` stays when the channel closes: process 1 may have gone before anybody listened
if (process.connected) process.on('disconnect', () => process.exit(0));
else process.exit(0);

let worker: Worker | null = null;
process.on('message', (message: ToWorker) => {
  if (message.type === 'start') worker ??= startWorker(message);
  else worker?.receive(message);
});
send({ type: 'booted' });
