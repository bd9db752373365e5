/**
 * Wakes work up, and knows nothing of it: what is to be done stands in PostgreSQL. A wake may get lost (a sweep finds the
 * job) and may come twice (the second finds the job done, or not due).
 */
export interface JobQueue {
  /** Begins to have jobs run. `run` never rejects. To be called once. */
  start(run: (job: string) => Promise<void>): void;

  /**
   * Has the job run in so many milliseconds, here or in another process. Asked for the same moment again it is once; what
   * is asked for while the job runs comes after it.
   *
   * @throws when it got lost on the way
   */
  wake(job: string, delayMs: number): Promise<void>;

  /** Runs nothing more, and waits for what runs. */
  stop(): Promise<void>;
}

/** Jobs that one process runs at a time. */
export const JOBS_AT_ONCE = 4;
