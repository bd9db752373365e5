import { type BeforeApplicationShutdown, Inject, Module, type OnApplicationBootstrap } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import { STREAM_LIMITS } from '#model';
import type { Logger } from '#platform';
import type { Server } from 'node:http';
import type { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG, LOG } from '../config/tokens.js';
import { FleetBook } from '../fleet/fleet-book.js';
import { FleetBookModule } from '../fleet/fleet-book.module.js';
import { Publications, PublishingHealth, PublishingModule, ReplicaSupplies } from '../publishing/index.js';
import { UsageBook } from '../usage/usage-book.js';
import { UsageBookModule } from '../usage/usage-book.module.js';
import { NumbersIntake } from '../promotions/numbers-intake.js';
import { ReleaseNumbersModule } from '../promotions/release-numbers.module.js';
import { Tails } from '../tails/tails.js';
import { TailsModule } from '../tails/tails.module.js';
import { StreamServer } from './stream-server.js';

/** The chain as it is published, to replicas that are connected. */
@Module({
  imports: [PublishingModule, FleetBookModule, UsageBookModule, ReleaseNumbersModule, TailsModule],
  providers: [
    {
      provide: StreamServer,
      inject: [CONFIG, LOG, getDataSourceToken(), FleetBook, PublishingHealth, UsageBook, NumbersIntake, Tails],
      useFactory: (
        { signer }: MasterConfig,
        log: Logger,
        source: DataSource,
        fleet: FleetBook,
        publishing: PublishingHealth,
        usage: UsageBook,
        numbers: NumbersIntake,
        tails: Tails,
      ) =>
        new StreamServer({
          query: (sql, parameters) => source.query(sql, parameters),
          signer,
          refusal: (environment) => publishing.refusal(environment),
          fleet,
          usage,
          measured: (replica, report) => void numbers.take(replica, report),
          tailed: (replica, lines) => tails.heard(replica, lines),
          limits: STREAM_LIMITS,
          log,
          now: Date.now,
        }),
    },
  ],
  exports: [StreamServer],
})
export class StreamModule implements OnApplicationBootstrap, BeforeApplicationShutdown {
  constructor(
    @Inject(StreamServer) private readonly stream: StreamServer,
    @Inject(FleetBook) private readonly fleet: FleetBook,
    private readonly publications: Publications,
    private readonly supplies: ReplicaSupplies,
    private readonly tails: Tails,
    private readonly host: HttpAdapterHost,
  ) {}

  onApplicationBootstrap(): void {
    this.publications.subscribe((published) => this.stream.published(published));
    this.fleet.onSuperseded((superseded) => this.stream.part(superseded));
    this.supplies.register(this.stream);
    this.stream.onAhead((environment) => this.supplies.claimed(environment));
    this.tails.onAsk(({ region, replica }, wish) => this.stream.tail(region, replica, wish));
    this.stream.attach(this.host.httpAdapter.getHttpServer() as Server);
  }

  /** Before the server is closed: it would wait for these sockets. And before the database's connections go. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.stream.stop();
    await this.fleet.stop();
  }
}
