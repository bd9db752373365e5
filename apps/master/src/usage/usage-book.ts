import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { HOUR_MS, USAGE_LIMITS, type UsageAnswer, type UsageReport } from '#model';
import { DataSource, type EntityManager } from 'typeorm';
import { mergeCounts, noteUses, type Reporter, seriesOf } from './merge-report.js';

/** Reports that are written at the same time: hundreds of replicas must not take all connections from who writes. */
const AT_ONCE = 2;

/** Keeps the greatest count that was told of each series, subscription and hour, whatever comes twice, late, or to another master. */
@Injectable()
export class UsageBook {
  private readonly waiting: (() => void)[] = [];
  private writing = 0;

  constructor(@InjectDataSource() private readonly source: DataSource) {}

  /** @returns when it is written; @throws what the database does: it may be sent again */
  async take(replica: Reporter, report: UsageReport): Promise<UsageAnswer> {
    await this.turn();
    try {
      return await this.source.transaction('READ COMMITTED', (manager) => write(manager, replica, report));
    } finally {
      this.writing -= 1;
      this.waiting.shift()?.();
    }
  }

  private async turn(): Promise<void> {
    while (this.writing >= AT_ONCE) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.writing += 1;
  }
}

async function write(manager: EntityManager, replica: Reporter, report: UsageReport): Promise<UsageAnswer> {
  const [clock]: { hour: number }[] = await manager.query(
    'SELECT floor(extract(epoch FROM now()) * 1000 / $1)::integer AS hour',
    [HOUR_MS],
  );
  const hour = clock?.hour ?? 0;
  // clocks differ by a moment when an hour begins; what is refused is told again
  if (report.hour > hour + 1) return { refused: 'future_hour' };
  if (report.hour < hour - USAGE_LIMITS.oldestHours) return { refused: 'too_old' };
  if (report.counts.length > 0) {
    const series = await seriesOf(manager, replica, report.series);
    await mergeCounts(manager, replica, series, report);
  }
  await noteUses(manager, replica.environment, report);
  return { refused: null };
}
