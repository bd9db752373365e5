import { backoffMs, type Logger } from '#platform';
import { InProcessQueue } from './in-process-queue.js';
import type { JobQueue } from './job-queue.js';
import type { ClaimedJob, Job, JobStore } from './job-store.js';

/** In how many milliseconds it is to be looked at again; null: it is done. It has to bear being run twice, also at a time. */
export type JobHandler = (job: Job) => Promise<number | null>;

/** Attempts that fail one after the other before somebody has to look. */
const MOST_ATTEMPTS = 12;
const RETRY_MS = { first: 250, most: 30_000 };
const SWEEP = { everyMs: 10_000, most: 1_000 };

export interface JobsOptions {
  store: JobStore;
  queue: JobQueue;
  log: Logger;
  /** monotonic milliseconds */
  now: () => number;
  random: () => number;
}

/**
 * Work that goes on when nobody asks, and when a master dies: a row in PostgreSQL for each job, and a queue that wakes.
 * Without the queue, whatever became of it, jobs are woken by this process alone, and found by a sweep.
 */
export class Jobs {
  private readonly handlers = new Map<string, JobHandler>();
  private readonly local: InProcessQueue;
  private refused = false;

  constructor(private readonly options: JobsOptions) {
    this.local = options.queue instanceof InProcessQueue ? options.queue : new InProcessQueue(options.now);
  }

  /** To be called before `start`. */
  handle(kind: string, handler: JobHandler): void {
    this.handlers.set(kind, handler);
  }

  start(): void {
    const run = (id: string): Promise<void> => this.run(id);
    this.options.queue.start(run);
    if (this.local !== this.options.queue) this.local.start(run);
    void this.sweep();
  }

  async stop(): Promise<void> {
    await Promise.all([this.options.queue.stop(), this.local.stop()]);
  }

  /** To be called after the commit that wrote the job. Never fails, and need not be waited for: without it the sweep comes by. */
  async wake(id: string, delayMs = 0): Promise<void> {
    try {
      await this.options.queue.wake(id, delayMs);
      this.refused = false;
    } catch (error) {
      if (!this.refused)
        this.options.log.warn({ cause: (error as Error).message }, 'the queue takes no jobs; this master runs its own');
      this.refused = true;
      await this.local.wake(id, delayMs);
    }
  }

  /** Finds what nobody was woken for: the queue lost it, or whoever ran it has gone. It runs here. */
  async sweep(): Promise<void> {
    try {
      const due = await this.options.store.due(SWEEP.everyMs, SWEEP.most);
      await Promise.all(due.map(({ id, delayMs }) => this.local.wake(id, delayMs)));
    } catch (error) {
      this.options.log.debug({ cause: (error as Error).message }, 'jobs cannot be read; the next sweep comes');
    }
  }

  /** Never rejects. */
  private async run(id: string): Promise<void> {
    const { store, log } = this.options;
    try {
      const job = await store.claim(id);
      if (!job) return;
      const again = await this.attempt(job);
      if (again !== null) await this.wake(id, again);
    } catch (error) {
      // the database is away: the row stays as it is, and is found again
      log.debug({ job: id, cause: (error as Error).message }, 'a job cannot be read or written; the sweep finds it');
    }
  }

  /** @returns in how many milliseconds it comes again */
  private async attempt(job: ClaimedJob): Promise<number | null> {
    const { store, log, random } = this.options;
    const handler = this.handlers.get(job.kind);
    try {
      if (!handler) throw new Error(`this build knows no jobs of the kind "${job.kind}"`);
      const again = await handler(job);
      if (again === null) await store.done(job);
      else await store.again(job, again);
      return again;
    } catch (error) {
      const cause = (error as Error).message;
      const last = job.attempts >= MOST_ATTEMPTS;
      const delayMs = last ? null : backoffMs(job.attempts, RETRY_MS.first, RETRY_MS.most, random);
      if (last) log.error({ job: job.id, err: error }, 'a job has failed for good: see GET /v1/jobs');
      else log.warn({ job: job.id, attempt: job.attempts, cause }, 'a job has failed; it is tried again');
      await store.failed(job, cause, delayMs);
      return delayMs;
    }
  }
}

export const SWEEP_MS = SWEEP.everyMs;
