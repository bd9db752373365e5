import { Module } from '@nestjs/common';
import { WebhooksModule } from '../webhooks/webhooks.module.js';
import { WritesModule } from '../writes/writes.module.js';
import { ApplyController } from './apply.controller.js';
import { ApplyService } from './apply.service.js';

@Module({ imports: [WritesModule, WebhooksModule], controllers: [ApplyController], providers: [ApplyService] })
export class ApplyModule {}
