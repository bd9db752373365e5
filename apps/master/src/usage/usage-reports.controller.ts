import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail, type UsageAnswer } from '#model';
import { DataSource } from 'typeorm';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { type Answer, type Caller, ok } from '../http/request.js';
import type { Reporter } from './merge-report.js';
import { UsageBook } from './usage-book.js';
import { reportUsage } from './usage-reports.endpoints.js';

@Controller()
export class UsageReportsController {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly book: UsageBook,
  ) {}

  @Route(reportUsage)
  async report(
    @Input() { body }: InputOf<typeof reportUsage>,
    @CurrentCaller() { actor }: Caller,
  ): Promise<Answer<UsageAnswer>> {
    const [replica]: Reporter[] = await this.source.query(
      `SELECT r.id, r.region_id AS region, g.environment_id AS environment
       FROM replica r JOIN region g ON g.id = r.region_id WHERE r.id = $1`,
      [actor],
    );
    if (!replica) throw fail('not_found', `there is no replica "${actor}"`);
    return ok(await this.book.take(replica, body));
  }
}
