import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing/index.js';
import { StreamModule } from '../stream/stream.module.js';
import { TokensModule } from '../tokens/tokens.module.js';
import { WebhooksModule } from '../webhooks/webhooks.module.js';
import { Draining } from './draining.js';
import { HealthController } from './health.controller.js';
import { MasterMetrics } from './master-metrics.js';
import { ProbeConnection } from './probe-connection.js';

@Module({
  imports: [PublishingModule, StreamModule, TokensModule, WebhooksModule],
  controllers: [HealthController],
  providers: [Draining, MasterMetrics, ProbeConnection],
  exports: [Draining, MasterMetrics],
})
export class HealthModule {}
