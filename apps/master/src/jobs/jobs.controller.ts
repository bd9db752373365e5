import { Controller } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { fail } from '#model';
import { DataSource } from 'typeorm';
import { CurrentCaller } from '../access/caller.decorator.js';
import { Input, type InputOf, Route } from '../http/endpoint.js';
import { decodeCursor, type Page, toPage } from '../http/paging.js';
import { type Answer, type Caller, ok } from '../http/request.js';
import { Writes } from '../writes/writes.js';
import { Jobs } from './jobs.js';
import { type JobView, listJobs, retryJob } from './jobs.endpoints.js';

interface Row extends Omit<JobView, 'runAt' | 'createdAt'> {
  runAt: Date;
  createdAt: Date;
}

const COLUMNS = `id, kind, subject, state, run_at AS "runAt", attempts, worker, error, created_at AS "createdAt"`;

@Controller()
export class JobsController {
  constructor(
    @InjectDataSource() private readonly source: DataSource,
    private readonly writes: Writes,
    private readonly jobs: Jobs,
  ) {}

  @Route(listJobs)
  async list(@Input() { query }: InputOf<typeof listJobs>): Promise<Answer<Page<JobView>>> {
    const after = decodeCursor(query.cursor, 1)?.[0] ?? null;
    const rows: Row[] = await this.source.query(
      `SELECT ${COLUMNS} FROM job WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR id > $2) ORDER BY id LIMIT $3`,
      [query.state ?? null, after, query.limit + 1],
    );
    return ok(toPage(rows, query.limit, (row) => [row.id], viewOf));
  }

  @Route(retryJob)
  async retry(
    @Input() { params: { job } }: InputOf<typeof retryJob>,
    @CurrentCaller() caller: Caller,
  ): Promise<Answer<JobView>> {
    const answer = await this.writes.run(caller, async (tx) => {
      const [before]: Row[] = await tx.manager.query(`SELECT ${COLUMNS} FROM job WHERE id = $1 FOR UPDATE`, [job]);
      if (!before) throw fail('not_found', `there is no job "${job}"; one that is done is not there any more`);
      if (before.state === 'running') throw fail('conflict', `the job "${job}" is being run by ${before.worker} now`);
      await tx.manager.query(
        `UPDATE job SET state = 'waiting', attempts = 0, run_at = now(), updated_at = now() WHERE id = $1`,
        [job],
      );
      const [after]: Row[] = await tx.manager.query(`SELECT ${COLUMNS} FROM job WHERE id = $1`, [job]);
      if (!after) throw new Error('a row that is locked is gone');
      tx.audit({ action: 'job.retry', target: `job/${job}`, before: stateOf(before), after: stateOf(after) });
      return ok(viewOf(after));
    });
    void this.jobs.wake(job);
    return answer;
  }
}

function stateOf({ state, attempts, error }: Row): object {
  return { state, attempts, error };
}

function viewOf({ runAt, createdAt, ...row }: Row): JobView {
  return { ...row, runAt: runAt.toISOString(), createdAt: createdAt.toISOString() };
}
