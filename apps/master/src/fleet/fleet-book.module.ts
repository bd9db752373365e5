import { Module } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import type { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG, LOG } from '../config/tokens.js';
import { AppliedWaiter } from './applied-waiter.js';
import { FleetBook } from './fleet-book.js';

/** What replicas say, and who waits for it. */
@Module({
  providers: [
    {
      provide: FleetBook,
      inject: [CONFIG, LOG, getDataSourceToken()],
      useFactory: ({ instance }: MasterConfig, log: Logger, source: DataSource) =>
        new FleetBook({
          query: (sql, parameters) => source.query(sql, parameters),
          instance,
          log,
          now: () => performance.now(),
        }),
    },
    {
      provide: AppliedWaiter,
      inject: [FleetBook, LOG, getDataSourceToken()],
      useFactory: (book: FleetBook, log: Logger, source: DataSource) =>
        new AppliedWaiter((sql, parameters) => source.query(sql, parameters), book, log),
    },
  ],
  exports: [FleetBook, AppliedWaiter],
})
export class FleetBookModule {}
