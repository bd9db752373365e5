import { Module } from '@nestjs/common';
import { ReleaseNumbersModule } from '../promotions/release-numbers.module.js';
import { PublishingModule } from '../publishing/index.js';
import { WritesModule } from '../writes/writes.module.js';
import { ConvergenceController } from './convergence.controller.js';
import { FleetBookModule } from './fleet-book.module.js';
import { JoinController } from './join.controller.js';
import { JoinService } from './join.service.js';
import { JoinTokensController } from './join-tokens.controller.js';
import { JoinTokensService } from './join-tokens.service.js';
import { ReplicasController } from './replicas.controller.js';
import { ReplicasService } from './replicas.service.js';
import { StatusController } from './status.controller.js';

@Module({
  imports: [WritesModule, PublishingModule, FleetBookModule, ReleaseNumbersModule],
  controllers: [JoinController, JoinTokensController, ReplicasController, ConvergenceController, StatusController],
  providers: [JoinService, JoinTokensService, ReplicasService],
})
export class FleetModule {}
