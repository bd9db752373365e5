import { Module } from '@nestjs/common';
import { WritesModule } from '../writes/writes.module.js';
import { ApplicationsController } from './applications.controller.js';
import { ApplicationsService } from './applications.service.js';
import { ImportController } from './import/import.controller.js';
import { KeySweep } from './key-sweep.js';
import { KeysController } from './keys.controller.js';
import { KeysService } from './keys.service.js';
import { PlansController } from './plans.controller.js';
import { PlansService } from './plans.service.js';
import { SubscriptionsController } from './subscriptions.controller.js';
import { SubscriptionsService } from './subscriptions.service.js';

@Module({
  imports: [WritesModule],
  controllers: [PlansController, ApplicationsController, SubscriptionsController, KeysController, ImportController],
  providers: [PlansService, ApplicationsService, SubscriptionsService, KeysService, KeySweep],
  exports: [KeysService],
})
export class ConsumersModule {}
