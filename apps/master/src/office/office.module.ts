import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing/index.js';
import { WritesModule } from '../writes/writes.module.js';
import { OfficeController } from './office.controller.js';
import { OfficeService } from './office.service.js';
import { RestoresController } from './restores.controller.js';
import { SigningKeysController } from './signing-keys.controller.js';
import { SigningKeysService } from './signing-keys.service.js';

@Module({
  imports: [WritesModule, PublishingModule],
  controllers: [OfficeController, RestoresController, SigningKeysController],
  providers: [OfficeService, SigningKeysService],
})
export class OfficeModule {}
