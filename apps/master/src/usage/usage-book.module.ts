import { Module } from '@nestjs/common';
import { UsageBook } from './usage-book.js';

/** What replicas have counted. */
@Module({ providers: [UsageBook], exports: [UsageBook] })
export class UsageBookModule {}
