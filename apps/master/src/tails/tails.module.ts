import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing/index.js';
import { WritesModule } from '../writes/writes.module.js';
import { Tails } from './tails.js';
import { TailsController } from './tails.controller.js';

/** Looking at requests of replicas as they are answered. */
@Module({
  imports: [PublishingModule, WritesModule],
  controllers: [TailsController],
  providers: [Tails],
  exports: [Tails],
})
export class TailsModule {}
