import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing/index.js';
import { StreamModule } from '../stream/stream.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { HealthController } from './health.controller.js';
import { MasterMetrics } from './master-metrics.js';

@Module({
  imports: [PublishingModule, StreamModule, TokensModule],
  controllers: [HealthController],
  providers: [MasterMetrics],
  exports: [MasterMetrics],
})
export class HealthModule {}
