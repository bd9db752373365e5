import { Module } from '@nestjs/common';
import { EventsModule } from '../events/events.module.js';
import { WritesModule } from '../writes/writes.module.js';
import { DeliveriesService } from './deliveries.service.js';
import { WebhookSender } from './webhook-sender.js';
import { WebhooksController } from './webhooks.controller.js';
import { WebhooksService } from './webhooks.service.js';

/** Events to whoever wants to be told. */
@Module({
  imports: [EventsModule, WritesModule],
  controllers: [WebhooksController],
  providers: [WebhooksService, DeliveriesService, WebhookSender],
  exports: [WebhookSender, WebhooksService],
})
export class WebhooksModule {}
