import { Module } from '@nestjs/common';
import { WritesModule } from '../writes/writes.module.js';
import { JoinController } from './join.controller.js';
import { JoinService } from './join.service.js';
import { JoinTokensController } from './join-tokens.controller.js';
import { JoinTokensService } from './join-tokens.service.js';
import { ReplicasController } from './replicas.controller.js';
import { ReplicasService } from './replicas.service.js';

@Module({
  imports: [WritesModule],
  controllers: [JoinController, JoinTokensController, ReplicasController],
  providers: [JoinService, JoinTokensService, ReplicasService],
})
export class FleetModule {}
