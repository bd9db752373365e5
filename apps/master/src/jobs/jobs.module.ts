import { Inject, Module, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import type { DataSource } from 'typeorm';
import type { MasterConfig } from '../config/config.js';
import { CONFIG, LOG } from '../config/tokens.js';
import { WritesModule } from '../writes/writes.module.js';
import { BullmqQueue } from './bullmq-queue.js';
import { InProcessQueue } from './in-process-queue.js';
import { JobStore } from './job-store.js';
import { Jobs } from './jobs.js';
import { JobsController } from './jobs.controller.js';
import { JobsSweep } from './jobs-sweep.js';

const now = (): number => performance.now();

/** Work that goes on by itself. */
@Module({
  imports: [ScheduleModule.forRoot(), WritesModule],
  controllers: [JobsController],
  providers: [
    {
      provide: Jobs,
      inject: [CONFIG, LOG, getDataSourceToken()],
      useFactory: (config: MasterConfig, log: Logger, source: DataSource) =>
        new Jobs({
          store: new JobStore((sql, parameters) => source.query(sql, parameters), config.instance),
          queue: config.REDIS_URL
            ? new BullmqQueue(config.REDIS_URL, `heliograph:{${config.signer.keyId.toString('hex')}}`, log)
            : new InProcessQueue(now),
          log,
          now,
          random: Math.random,
        }),
    },
    JobsSweep,
  ],
  exports: [Jobs],
})
export class JobsModule implements OnApplicationBootstrap, OnModuleDestroy {
  constructor(@Inject(Jobs) private readonly jobs: Jobs) {}

  onApplicationBootstrap(): void {
    this.jobs.start();
  }

  /** Before the publisher stops, which publishes what the last of them wrote. */
  async onModuleDestroy(): Promise<void> {
    await this.jobs.stop();
  }
}
