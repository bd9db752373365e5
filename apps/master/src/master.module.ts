import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { type ArtifactStore, openStore, StoreError, type StoreOptions } from '#artifacts';
import { createLog } from '#platform';
import type { DataSource } from 'typeorm';
import { AccessGuard } from './access/access.guard.js';
import { AccessModule } from './access/access.module.js';
import { AuditModule } from './access/audit.module.js';
import { CatalogModule } from './catalog/catalog.module.js';
import { ApplyModule } from './apply/apply.module.js';
import type { MasterConfig } from './config/config.js';
import { ChainModule } from './publishing/chain/chain.module.js';
import { SettingsModule } from './config/settings.module.js';
import { ConsumersModule } from './consumers/consumers.module.js';
import { dataSourceOptions } from './database/data-source.js';
import { DocsModule } from './docs/docs.module.js';
import { EventsModule } from './events/events.module.js';
import { FleetBookModule } from './fleet/fleet-book.module.js';
import { FleetModule } from './fleet/fleet.module.js';
import { PreferInterceptor } from './fleet/prefer.interceptor.js';
import { HealthModule } from './health/health.module.js';
import { AnswerInterceptor } from './http/answer.interceptor.js';
import { JobsModule } from './jobs/jobs.module.js';
import { OfficeModule } from './office/office.module.js';
import { ProblemFilter } from './http/problem.filter.js';
import { PromotionsModule } from './promotions/promotions.module.js';
import { StreamModule } from './stream/stream.module.js';
import { TailsModule } from './tails/tails.module.js';
import { TokensModule } from './tokens/tokens.module.js';
import { TopologyModule } from './topology/topology.module.js';
import { UsageModule } from './usage/usage.module.js';
import { WebhooksModule } from './webhooks/webhooks.module.js';

/** The master, as a table of contents. */
@Module({})
export class MasterModule {
  static with(config: MasterConfig): DynamicModule {
    const log = createLog('master', config.HELIO_LOG_LEVEL);
    const store = (source: DataSource): ArtifactStore =>
      openStore(config.ARTIFACT_STORE, { s3: s3Of(config), create: () => nothingStored(source, config) });
    return {
      module: MasterModule,
      imports: [
        SettingsModule.with({ config, log, store }),
        TypeOrmModule.forRoot({
          ...dataSourceOptions(config.DATABASE_URL, config.HELIO_DATABASE_POOL),
          retryAttempts: 0,
        }),
        AccessModule, // who may do what
        AuditModule, // who did what
        TopologyModule, // environments, regions, placements, revisions
        PromotionsModule, // how releases travel
        CatalogModule, // APIs, releases, OpenAPI import
        ConsumersModule, // plans, applications, subscriptions, keys, bulk import
        ApplyModule, // all of these at once, from documents; and documents of them
        TokensModule, // OAuth clients, their tokens, and the keys of those
        FleetBookModule, // what replicas say, and who waits for it
        FleetModule, // replicas: join, status, convergence
        UsageModule, // what was used: reports, sums
        ChainModule, // the chain to replicas that ask for it over HTTP
        StreamModule, // the chain to connected replicas
        TailsModule, // requests of replicas, as they are answered
        JobsModule, // work that goes on by itself
        EventsModule, // what has happened
        WebhooksModule, // who is told of it
        OfficeModule, // terms of office: fences, restores, signing keys
        HealthModule, // livez, readyz, metrics
        DocsModule, // openapi.json, docs
      ],
      providers: [
        { provide: APP_GUARD, useClass: AccessGuard },
        { provide: APP_FILTER, useClass: ProblemFilter },
        { provide: APP_INTERCEPTOR, useClass: AnswerInterceptor }, // the outer one: it sees what the other has made
        { provide: APP_INTERCEPTOR, useClass: PreferInterceptor },
      ],
    };
  }
}

/**
 * Whether no environment's chain was ever stored. Where one was, a store that is missing was not mounted or is lost, and an
 * empty one in its place would hide that, and be filled below the mount. @throws StoreError while the database does not tell
 */
async function nothingStored(source: DataSource, { ARTIFACT_STORE: store }: MasterConfig): Promise<boolean> {
  try {
    const stored: unknown[] = await source.query('SELECT 1 FROM chain WHERE stored_revision > 0 LIMIT 1');
    return stored.length === 0;
  } catch (error) {
    const { message } = error as Error;
    throw new StoreError(
      'store_unreachable',
      `${store} is missing, and the database does not tell if it was there: ${message}`,
    );
  }
}

function s3Of(config: MasterConfig): StoreOptions['s3'] {
  const { S3_ENDPOINT: endpoint, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey, S3_REGION: region } = config;
  return endpoint && accessKey && secretKey ? { endpoint, accessKey, secretKey, region } : undefined;
}
