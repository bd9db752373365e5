import { type DynamicModule, Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { ArtifactStore } from '#artifacts';
import type { Logger } from '#platform';
import type { DataSource } from 'typeorm';
import type { MasterConfig } from './config.js';
import { CONFIG, LOG, STORE } from './tokens.js';

/** What the composition root made, for everybody who asks for it by token. */
@Module({})
export class SettingsModule {
  static with(made: {
    config: MasterConfig;
    log: Logger;
    store: (source: DataSource) => ArtifactStore;
  }): DynamicModule {
    const providers = [
      { provide: CONFIG, useValue: made.config },
      { provide: LOG, useValue: made.log },
      { provide: STORE, useFactory: made.store, inject: [getDataSourceToken()] },
    ];
    // global: the three things that any module may need; everything else is imported where it is used
    return { module: SettingsModule, global: true, providers, exports: providers };
  }
}
