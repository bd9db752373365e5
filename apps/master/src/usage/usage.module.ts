import { Module } from '@nestjs/common';
import { UsageBookModule } from './usage-book.module.js';
import { UsageReportsController } from './usage-reports.controller.js';

@Module({ imports: [UsageBookModule], controllers: [UsageReportsController] })
export class UsageModule {}
