import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type ReplicaStatus, SYNC_STATES } from '#model';
import type { PortCertificate } from '../gateway/tls/port-certificates.js';
import type { RegionCounters } from '../throttle/region-counters.js';
import type { DoorDecisions } from './door-decisions.js';

/** What process 1 measures; the gateway workers' numbers stand beside it. */
export class ReplicaMetrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  readonly #applied = new Histogram({
    name: 'heliograph_replica_apply_seconds',
    help: 'Time to verify a revision, apply it and have it on the disk.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: this.#registers,
  });
  readonly #ops = new Counter({
    name: 'heliograph_replica_applied_ops_total',
    help: 'Changes in applied revisions.',
    registers: this.#registers,
  });
  readonly #refused = new Counter({
    name: 'heliograph_replica_refused_artifacts_total',
    help: 'Heads and revisions that were not accepted, by the code of the reason.',
    labelNames: ['code'],
    registers: this.#registers,
  });

  /** @param stateBytes of the state's file */
  constructor(
    region: string,
    status: () => ReplicaStatus,
    stateBytes: () => number,
    certificates: { readonly status: readonly PortCertificate[] },
    decisions: DoorDecisions,
    counters: Pick<RegionCounters, 'counts' | 'hasRedis' | 'onAnswer' | 'status'>,
  ) {
    this.registry.setDefaultLabels({ region });
    new Gauge({
      name: 'heliograph_replica_info',
      help: '1; its labels say who this is.',
      labelNames: ['environment', 'replica', 'version'],
      registers: this.#registers,
      collect() {
        const { environment, replica, build: version } = status();
        this.reset();
        this.set({ environment, replica, version }, 1);
      },
    });
    this.#gauge('heliograph_replica_revision', 'The newest revision that was applied.', () => status().revision);
    this.#gauge('heliograph_replica_head', 'The newest revision that this replica has heard of.', () => status().head);
    this.#gauge(
      'heliograph_replica_lag_seconds',
      'From the issue of the newest applied revision to when it was applied.',
      () => (status().lagMs ?? 0) / 1000,
    );
    this.#gauge('heliograph_replica_fresh', '1 while the newest head has not expired.', () =>
      status().freshness === 'fresh' ? 1 : 0,
    );
    this.#gauge(
      'heliograph_replica_nacks',
      'Entries that cannot be used; 100 also for more.',
      () => status().nacks.length,
    );
    new Counter({
      name: 'heliograph_door_decisions_total',
      help: 'Answers of /auth, and to each question of /validate: allowed, or the code of the refusal.',
      labelNames: ['door', 'code'],
      registers: this.#registers,
      collect() {
        this.reset();
        decisions.each((labels, count) => this.inc(labels, count));
      },
    });
    new Counter({
      name: 'heliograph_throttle_takes_total',
      help: 'Questions for tokens by who answered: Redis (shared) or this node (local); late and failed are those that Redis did not answer.',
      labelNames: ['result'],
      registers: this.#registers,
      collect() {
        this.reset();
        for (const [result, count] of Object.entries(counters.counts)) this.inc({ result }, count);
      },
    });
    const answered = new Histogram({
      name: 'heliograph_throttle_redis_seconds',
      help: 'Time in which Redis answered for tokens, of those answers that came in time.',
      buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004],
      registers: this.#registers,
    });
    counters.onAnswer = (seconds) => answered.observe(seconds);
    this.#gauge('heliograph_throttle_shared', '1 while limits are counted for the whole region, in its Redis.', () =>
      counters.hasRedis ? Number(counters.status === 'shared') : null,
    );
    this.#gauge('heliograph_replica_state_bytes', 'Size of the state on the disk.', stateBytes);
    new Gauge({
      name: 'heliograph_certificate_expiry_timestamp_seconds',
      help: 'When a certificate that clients are shown ends, in seconds since 1970.',
      labelNames: ['port', 'file'],
      registers: this.#registers,
      collect() {
        this.reset();
        for (const { port, file, notAfter } of certificates.status)
          this.set({ port, file }, Date.parse(notAfter) / 1000);
      },
    });
    new Gauge({
      name: 'heliograph_certificate_faulty',
      help: '1 while the files of a certificate cannot be used, and what was read before is.',
      labelNames: ['port', 'file'],
      registers: this.#registers,
      collect() {
        this.reset();
        for (const { port, file, fault } of certificates.status) this.set({ port, file }, fault === null ? 0 : 1);
      },
    });
    new Gauge({
      name: 'heliograph_replica_sync_state',
      help: '1 for the state that the sync is in.',
      labelNames: ['state'],
      registers: this.#registers,
      collect() {
        const { state: current } = status();
        for (const state of SYNC_STATES) this.set({ state }, state === current ? 1 : 0);
      },
    });
  }

  applied(ops: number, seconds: number): void {
    this.#applied.observe(seconds);
    this.#ops.inc(ops);
  }

  refused(code: string): void {
    this.#refused.inc({ code });
  }

  /** @param value null: there is nothing to tell of */
  #gauge(name: string, help: string, value: () => number | null): void {
    new Gauge({
      name,
      help,
      registers: this.#registers,
      collect() {
        const now = value();
        if (now === null) this.remove();
        else this.set(now);
      },
    });
  }
}
