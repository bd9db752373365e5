import { Module } from '@nestjs/common';
import { UsageBookModule } from './usage-book.module.js';
import { UsageController } from './usage.controller.js';
import { UsageReportsController } from './usage-reports.controller.js';
import { UsageService } from './usage.service.js';
import { UsageSweep } from './usage-sweep.js';

@Module({
  imports: [UsageBookModule],
  controllers: [UsageReportsController, UsageController],
  providers: [UsageService, UsageSweep],
})
export class UsageModule {}
