import { Inject, Module, type OnModuleInit } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { Logger } from '#platform';
import { LOG } from '../config/tokens.js';
import { Jobs } from '../jobs/jobs.js';
import { JobsModule } from '../jobs/jobs.module.js';
import type { Query } from '../publishing/options.js';
import { PublishingModule, RevisionLookup } from '../publishing/index.js';
import { WritesModule } from '../writes/writes.module.js';
import { Writes } from '../writes/writes.js';
import type { ObserveSources } from './observe.js';
import { PromotionEventsController } from './promotion-events.controller.js';
import { PROMOTION_JOB } from './promotion-move.js';
import { PromotionPolicyController } from './promotion-policy.controller.js';
import { OBSERVE_SOURCES, PromotionReads } from './promotion-reads.js';
import { PromotionWatch } from './promotion-watch.js';
import { PromotionWork } from './promotion-work.js';
import { PromotionsController } from './promotions.controller.js';
import { PromotionsService } from './promotions.service.js';
import { SampledNumbers } from './release-numbers.js';
import { ReleaseNumbersModule } from './release-numbers.module.js';

/** How releases travel from one environment to the next. */
@Module({
  imports: [WritesModule, PublishingModule, JobsModule, ReleaseNumbersModule],
  controllers: [PromotionsController, PromotionEventsController, PromotionPolicyController],
  providers: [
    {
      provide: OBSERVE_SOURCES,
      inject: [getDataSourceToken(), RevisionLookup, SampledNumbers],
      useFactory: (source: DataSource, lookup: RevisionLookup, numbers: SampledNumbers): ObserveSources => {
        const query: Query = (sql, parameters) => source.query(sql, parameters);
        return {
          query,
          numbers,
          revisionOf: (xid, environment, by) => lookup.revisionOf(xid, environment, by),
        };
      },
    },
    {
      provide: PromotionWork,
      inject: [OBSERVE_SOURCES, Writes, Jobs, LOG],
      useFactory: (sources: ObserveSources, writes: Writes, jobs: Jobs, log: Logger) =>
        new PromotionWork(sources, writes, jobs, log),
    },
    {
      provide: PromotionWatch,
      inject: [OBSERVE_SOURCES],
      useFactory: ({ query }: ObserveSources) => new PromotionWatch(query),
    },
    PromotionReads,
    PromotionsService,
  ],
})
export class PromotionsModule implements OnModuleInit {
  constructor(
    @Inject(Jobs) private readonly jobs: Jobs,
    @Inject(PromotionWork) private readonly work: PromotionWork,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(PROMOTION_JOB, (job) => this.work.run(job));
  }
}
