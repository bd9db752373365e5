import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing/index.js';
import { HealthController } from './health.controller.js';
import { MasterMetrics } from './master-metrics.js';

@Module({
  imports: [PublishingModule],
  controllers: [HealthController],
  providers: [MasterMetrics],
  exports: [MasterMetrics],
})
export class HealthModule {}
