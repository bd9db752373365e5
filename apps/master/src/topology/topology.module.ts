import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing/index.js';
import { WritesModule } from '../writes/writes.module.js';
import { EnvironmentsController } from './environments.controller.js';
import { EnvironmentsService } from './environments.service.js';
import { PlacementsController } from './placements.controller.js';
import { PlacementsService } from './placements.service.js';
import { RegionsController } from './regions.controller.js';
import { RegionsService } from './regions.service.js';
import { RevisionsController } from './revisions.controller.js';

@Module({
  imports: [WritesModule, PublishingModule],
  controllers: [EnvironmentsController, RegionsController, PlacementsController, RevisionsController],
  providers: [EnvironmentsService, RegionsService, PlacementsService],
})
export class TopologyModule {}
