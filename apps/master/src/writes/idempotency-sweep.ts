import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import { DataSource } from 'typeorm';
import { LOG } from '../config/tokens.js';

const EVERY_MS = 10 * 60_000;

/** Kept answers are forgotten after a day, in bites that hold no lock for long. Several masters may sweep. */
@Injectable()
export class IdempotencySweep implements OnModuleInit, OnModuleDestroy {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    @InjectDataSource() private readonly source: DataSource,
    @Inject(LOG) private readonly log: Logger,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => void this.sweep(), EVERY_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  private async sweep(): Promise<void> {
    try {
      await this.source.query(
        `DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency WHERE created_at < now() - interval '24 hours' LIMIT 10000 FOR UPDATE SKIP LOCKED)`,
      );
    } catch (error) {
      this.log.warn({ cause: String(error) }, 'old Idempotency-Keys could not be forgotten; it is tried again');
    }
  }
}
