import type { EntityManager } from 'typeorm';
import type { Query } from '../publishing/options.js';

/** Something that is to be done; `subject` says to what. */
export interface Job {
  /** says what it is for, so that what is asked for twice is one */
  id: string;
  kind: string;
  subject: string;
}

export interface ClaimedJob extends Job {
  /** this one included */
  attempts: number;
}

/** Whoever runs a job is done by then, or it is taken to be gone. Past it a job may run twice at a time: jobs have to bear that. */
export const LEASE_SECONDS = 5;
/** A wake by another machine's clock may come a little early. */
const EARLY_MS = 100;

/** Writes a job in the caller's transaction: it is there if, and only if, what it goes on with is. Twice is once. */
export async function addJob(manager: EntityManager, { id, kind, subject }: Job): Promise<void> {
  await manager.query('INSERT INTO job (id, kind, subject) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING', [
    id,
    kind,
    subject,
  ]);
}

/** The rows of jobs, of which each is run by one master at a time. */
export class JobStore {
  constructor(
    private readonly query: Query,
    /** what this process calls itself */
    private readonly worker: string,
  ) {}

  /** @returns null when it is done, not due, or somebody runs it */
  async claim(id: string): Promise<ClaimedJob | null> {
    const rows = await this.query<ClaimedJob>(
      `WITH claimed AS (
         UPDATE job SET state = 'running', attempts = attempts + 1, worker = $2, updated_at = now(),
           lease_until = now() + interval '${LEASE_SECONDS} seconds'
         WHERE id = $1 AND (state = 'waiting' AND run_at <= now() + interval '${EARLY_MS} milliseconds' OR state = 'running' AND lease_until < now())
         RETURNING id, kind, subject, attempts
       ) SELECT * FROM claimed`,
      [id, this.worker],
    );
    return rows[0] ?? null;
  }

  /** Only by who has it: past its lease somebody else may have begun it again. */
  async done({ id, attempts }: ClaimedJob): Promise<void> {
    await this.query(`DELETE FROM job WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'`, [
      id,
      this.worker,
      attempts,
    ]);
  }

  /** It is looked at again, as if for the first time. */
  async again({ id, attempts }: ClaimedJob, delayMs: number): Promise<void> {
    await this.query(
      `UPDATE job SET state = 'waiting', attempts = 0, error = NULL, updated_at = now(), run_at = now() + $4 * interval '1 millisecond'
       WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'`,
      [id, this.worker, attempts, delayMs],
    );
  }

  /** @param delayMs null: it is not tried again before somebody asks for it */
  async failed({ id, attempts }: ClaimedJob, error: string, delayMs: number | null): Promise<void> {
    await this.query(
      `UPDATE job SET state = CASE WHEN $5::float8 IS NULL THEN 'failed' ELSE 'waiting' END, error = $4, updated_at = now(),
         run_at = now() + coalesce($5::float8, 0) * interval '1 millisecond'
       WHERE id = $1 AND worker = $2 AND attempts = $3 AND state = 'running'`,
      [id, this.worker, attempts, error.slice(0, 2000), delayMs],
    );
  }

  /** Jobs that are due, or become so before the next sweep, the oldest first, and in how many milliseconds each. */
  due(withinMs: number, most: number): Promise<{ id: string; delayMs: number }[]> {
    return this.query(
      `SELECT id, greatest(0, ceil(extract(epoch FROM at - now()) * 1000))::float8 AS "delayMs" FROM (
         SELECT id, CASE state WHEN 'running' THEN greatest(lease_until, run_at) ELSE run_at END AS at FROM job WHERE state <> 'failed'
       ) j WHERE at < now() + $1 * interval '1 millisecond' ORDER BY at LIMIT $2`,
      [withinMs, most],
    );
  }
}
