import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing.module.js';
import { ChainController } from './chain.controller.js';
import { ChainObjects } from './chain-objects.js';

/** The chain over HTTP, to replicas that do not reach the artifact store. */
@Module({
  imports: [PublishingModule],
  controllers: [ChainController],
  providers: [ChainObjects],
})
export class ChainModule {}
