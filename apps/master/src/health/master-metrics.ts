import { Injectable } from '@nestjs/common';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { registerWorkMetrics } from '../jobs/work-metrics.js';
import type { EnvironmentHealth } from '../publishing/index.js';
import { IssuersService } from '../tokens/issuers/issuers.service.js';
import { registerStreamMetrics } from '../stream/stream-metrics.js';
import { StreamServer } from '../stream/stream-server.js';
import { registerWebhookMetrics } from '../webhooks/webhook-metrics.js';
import { WebhookSender } from '../webhooks/webhook-sender.js';
import { ProbeConnection } from './probe-connection.js';

/** What `/metrics` shows: the process, requests by route, and where each chain stands. */
@Injectable()
export class MasterMetrics {
  private readonly registry = new Registry();
  readonly contentType = this.registry.contentType;
  private readonly requests = new Histogram({
    name: 'heliograph_master_request_seconds',
    help: 'Time of a request of the REST API.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  });

  constructor(
    stream: StreamServer,
    issuers: IssuersService,
    private readonly probe: ProbeConnection,
    webhooks: WebhookSender,
  ) {
    collectDefaultMetrics({ register: this.registry });
    registerStreamMetrics(this.registry, stream);
    registerWorkMetrics(this.registry, probe.query);
    registerWebhookMetrics(this.registry, webhooks, probe.query);
    this.chainGauge('heliograph_chain_revision', 'Newest revision of the environment.', (e) => e.revision);
    this.chainGauge('heliograph_chain_epoch', 'Term of office of the environment.', (e) => e.epoch);
    this.chainGauge(
      'heliograph_chain_stored_revision',
      'Newest revision that the artifact store has.',
      (e) => e.storedRevision,
    );
    this.chainGauge('heliograph_chain_leader', '1 where this process publishes the environment.', (e) =>
      e.leader ? 1 : 0,
    );
    this.chainGauge('heliograph_chain_fenced', '1 where another master has taken the place of this one.', (e) =>
      e.fence ? 1 : 0,
    );
    this.chainGauge(
      'heliograph_chain_waiting',
      '1 where this process has the office, and has to know first what was published.',
      (e) => (e.waitsFor ? 1 : 0),
    );
    this.chainGauge('heliograph_outbox_markers', 'Markers that wait to be published.', (e) => e.outbox);
    this.chainGauge(
      'heliograph_outbox_age_seconds',
      'How long the oldest of them has waited.',
      (e) => e.outboxAgeSeconds,
    );
    new Gauge({
      name: 'heliograph_issuer_failures',
      help: 'How often in a row the keys of a trusted issuer could not be fetched.',
      labelNames: ['environment', 'issuer'],
      registers: [this.registry],
      async collect() {
        this.reset();
        const failures = await issuers.failures(probe.query).catch(() => []);
        for (const { environment, issuer, failures: count } of failures) this.set({ environment, issuer }, count);
      },
    });
  }

  /** Times every request, under its route's pattern (never its path: ids would make a series each). */
  install(fastify: FastifyInstance): void {
    fastify.addHook('onResponse', (request, reply, done) => {
      this.requests.observe(
        { method: request.method, route: request.routeOptions.url ?? 'unknown', status: String(reply.statusCode) },
        reply.elapsedTime / 1000,
      );
      done();
    });
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }

  private chainGauge(name: string, help: string, value: (environment: EnvironmentHealth) => number): void {
    const { probe } = this;
    new Gauge({
      name,
      help,
      labelNames: ['environment'],
      registers: [this.registry],
      async collect() {
        this.reset();
        // a database that is away leaves the gauge empty; the scrape itself goes on
        const environments = await probe.environments().catch(() => []);
        for (const environment of environments) this.set({ environment: environment.environment }, value(environment));
      },
    });
  }
}
