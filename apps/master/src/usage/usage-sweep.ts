import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import type { Logger } from '#platform';
import { DataSource } from 'typeorm';
import { LOG } from '../config/tokens.js';

const EVERY_MS = 10 * 60_000;
const BITE = 20_000;

/** How long is kept: hours of subscriptions, days of subscriptions, and hours of APIs with the names of series. */
const KEPT: readonly (readonly [table: string, old: string])[] = [
  ['usage_day', `day < (now() AT TIME ZONE 'UTC')::date - 100`],
  ['usage_month', `month < date_trunc('month', now() AT TIME ZONE 'UTC') - interval '26 months'`],
  ['usage_api_day', `day < (now() AT TIME ZONE 'UTC')::date - 800`],
  ['usage_series', `reported_at < now() - interval '27 months'`],
];

/** Old usage is forgotten in bites that hold no lock for long. Several masters may sweep. */
@Injectable()
export class UsageSweep implements OnModuleInit, OnModuleDestroy {
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

  /** One bite of each table; a day of 100,000 subscriptions is forgotten within the hour. */
  async sweep(): Promise<void> {
    for (const [table, old] of KEPT) {
      try {
        await this.source.query(
          `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${table} WHERE ${old} LIMIT ${BITE} FOR UPDATE SKIP LOCKED))`,
        );
      } catch (error) {
        this.log.warn({ table, cause: String(error) }, 'old usage could not be forgotten; it is tried again');
      }
    }
  }
}
