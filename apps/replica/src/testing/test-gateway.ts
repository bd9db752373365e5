import { makeCertificate, type TestCertificate } from '#harness';
import type { Op, TailLines } from '#model';
import { createLog } from '#platform';
import { type Clock, LeaseBook, LocalCounterStore, systemClock } from '#throttle';
import { ResponseCache } from '../gateway/decide/cache/response-cache.js';
import { CompiledState } from '../gateway/decide/compile/compiled-state.js';
import type { AccessLog } from '../gateway/engine/access-log.js';
import { AccessTail } from '../gateway/engine/access-tail.js';
import { Engine } from '../gateway/engine/engine.js';
import { type Limits, LIMITS } from '../gateway/engine/limits.js';
import { GatewayMetrics } from '../gateway/engine/metrics.js';
import { NOT_TRACED, RandomIds, type Tracing } from '../gateway/engine/trace/tracing.js';
import { type Certificate, parseCertificate } from '../gateway/tls/certificate.js';
import { TlsPort } from '../gateway/tls/tls-port.js';
import { resolveBySystem } from '../gateway/upstream/address-book.js';
import { TargetPools, type TargetPoolsOptions } from '../gateway/upstream/target-pools.js';
import { GatewayBook } from '../telemetry/gateway-book.js';
import { MemoryState } from './memory-state.js';

/** An engine on a free port, over a state in memory and counters of its own. */
export class TestGateway {
  readonly memory = new MemoryState();
  readonly state = new CompiledState('eu-west');
  readonly counters: LocalCounterStore;
  readonly leases: LeaseBook;
  readonly pools: TargetPools;
  readonly cache = new ResponseCache(64 * 1024 * 1024);
  readonly metrics = new GatewayMetrics();
  /** what those who look were told */
  readonly tailed: TailLines[] = [];
  readonly tail: AccessTail;
  private readonly book: GatewayBook;
  readonly engine: Engine;
  port = 0;
  tlsPort = 0;
  tls: TlsPort | null = null;

  /** @param clock of limits and targets @param limits other ones than without settings @param more of targets */
  constructor(
    accessLog: AccessLog | null = null,
    clock: Clock = systemClock,
    limits: Partial<Limits> = {},
    more: Partial<TargetPoolsOptions> = {},
    tracing: Tracing = { ids: new RandomIds(), sampler: NOT_TRACED, exporter: null },
  ) {
    this.counters = new LocalCounterStore(clock);
    this.leases = new LeaseBook(this.counters, clock.monotonicMs);
    const log = createLog('test', 'silent');
    const { monotonicMs: now, wallMs } = clock;
    this.book = new GatewayBook('eu-west', now);
    this.pools = new TargetPools({
      now,
      wallMs,
      log,
      certificates: null,
      resolve: resolveBySystem,
      random: Math.random,
      ...more,
    });
    this.tail = new AccessTail((lines) => this.tailed.push(lines), wallMs);
    const { state, leases, pools, cache, metrics, tail } = this;
    this.engine = new Engine({
      state,
      leases,
      pools,
      cache,
      metrics,
      log,
      accessLog,
      tail,
      tracing,
      limits: { ...LIMITS, ...limits },
      now: clock.monotonicMs,
      wallMs: clock.wallMs,
    });
  }

  static async start(...ops: (Op | Op[])[]): Promise<TestGateway> {
    const gateway = new TestGateway();
    gateway.load(...ops);
    await gateway.listen();
    return gateway;
  }

  async listen(): Promise<void> {
    this.port = await this.engine.listen(0, '127.0.0.1');
  }

  /** A second port, in TLS. @param certificates default: one of its own for localhost */
  async listenTls(...certificates: TestCertificate[]): Promise<void> {
    const given = certificates.length > 0 ? certificates : [makeCertificate({ names: ['localhost'] })];
    this.tls = new TlsPort(this.engine, given.map(certificateOf));
    this.tlsPort = await this.tls.listen(0, '127.0.0.1');
  }

  load(...ops: (Op | Op[])[]): void {
    this.memory.apply(...ops);
    this.state.refresh(this.memory.snapshot());
    this.pools.checks.follow(this.state.checked);
  }

  /** Prometheus text of everything so far. */
  scrape(): Promise<string> {
    this.book.add('1', this.metrics.report(this.engine));
    return this.book.text(1);
  }

  async stop(): Promise<void> {
    await this.engine.drain(0);
    this.tail.close();
    this.pools.close();
    this.metrics.close();
    this.book.close();
    this.state.close();
  }
}

export function certificateOf({ cert, key }: TestCertificate): Certificate {
  return parseCertificate(cert, key, { cert: 'cert', key: 'key' });
}
