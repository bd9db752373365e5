import { Inject, Module, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { ArtifactStore } from '#artifacts';
import type { Logger } from '#platform';
import type { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG, LOG, STORE } from '../config/tokens.js';
import { ChainReader } from './chain-reader.js';
import { MasterTalk } from './master-talk.js';
import { PUBLISHING_OPTIONS, type PublishingOptions } from './options.js';
import { Publications } from './publications.js';
import { Office } from './office/office.js';
import { ReplicaSupplies } from './office/replica-supply.js';
import { PublisherHint } from './publisher-hint.js';
import { Publishers } from './publishers.js';
import { PublishingHealth } from './publishing-health.js';
import { RevisionLookup } from './revision-lookup.js';

/** From committed rows to signed revisions, and from those to the artifact store. */
@Module({
  providers: [
    {
      provide: PUBLISHING_OPTIONS,
      inject: [CONFIG, STORE, LOG, getDataSourceToken(), ReplicaSupplies],
      useFactory: (
        config: MasterConfig,
        store: ArtifactStore,
        log: Logger,
        source: DataSource,
        replicas: ReplicaSupplies,
      ): PublishingOptions => ({
        databaseUrl: config.DATABASE_URL,
        query: (sql, parameters) => source.query(sql, parameters),
        store,
        signer: config.signer,
        instance: config.instance,
        log,
        replicas,
      }),
    },
    {
      provide: Publishers,
      inject: [PUBLISHING_OPTIONS, Publications],
      useFactory: (options: PublishingOptions, publications: Publications) => new Publishers(options, publications),
    },
    Publications,
    ReplicaSupplies,
    Office,
    PublisherHint,
    MasterTalk,
    RevisionLookup,
    ChainReader,
    PublishingHealth,
  ],
  exports: [
    PUBLISHING_OPTIONS,
    Publications,
    Office,
    ReplicaSupplies,
    PublisherHint,
    MasterTalk,
    RevisionLookup,
    ChainReader,
    PublishingHealth,
  ],
})
export class PublishingModule implements OnApplicationBootstrap, OnApplicationShutdown {
  constructor(@Inject(Publishers) private readonly publishers: Publishers) {}

  onApplicationBootstrap(): void {
    this.publishers.start();
  }

  /** When no request is left and before the database's connections go: what was answered is published, and stored if the store answers. */
  async onApplicationShutdown(): Promise<void> {
    await this.publishers.stop();
  }
}
