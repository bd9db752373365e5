import { Module } from '@nestjs/common';
import { PublishingModule } from '../publishing/index.js';
import { IdempotencySweep } from './idempotency-sweep.js';
import { RevisionWaiter } from './revision-waiter.js';
import { Writes } from './writes.js';

@Module({ imports: [PublishingModule], providers: [Writes, RevisionWaiter, IdempotencySweep], exports: [Writes] })
export class WritesModule {}
