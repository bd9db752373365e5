import { Module } from '@nestjs/common';
import { WritesModule } from '../writes/writes.module.js';
import { ApisController } from './apis.controller.js';
import { ApisService } from './apis.service.js';
import { ReleasesController } from './releases.controller.js';
import { ReleasesService } from './releases.service.js';

@Module({
  imports: [WritesModule],
  controllers: [ApisController, ReleasesController],
  providers: [ApisService, ReleasesService],
})
export class CatalogModule {}
