import { Module } from '@nestjs/common';
import { WritesModule } from '../writes/writes.module.js';
import { EventKeeper } from './event-keeper.js';
import { EventOrder } from './event-order.js';
import { EventsController } from './events.controller.js';
import { ExpiryWatch } from './expiry-watch.js';
import { ReplicaWatch } from './replica-watch.js';

/** What has happened: in order, for as long as it is kept; and what time alone makes happen. */
@Module({
  imports: [WritesModule],
  controllers: [EventsController],
  providers: [EventOrder, EventKeeper, ExpiryWatch, ReplicaWatch],
  exports: [EventOrder],
})
export class EventsModule {}
