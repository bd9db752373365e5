import { JOBS_AT_ONCE, type JobQueue } from './job-queue.js';

/** A queue of this process alone: for a master without Redis, and while Redis is away. */
export class InProcessQueue implements JobQueue {
  private run: ((job: string) => Promise<void>) | undefined;
  /** jobs that wait for their time, each with the next one */
  private readonly timers = new Map<string, { due: number; timer: NodeJS.Timeout }>();
  /** jobs whose time has come */
  private readonly ready = new Set<string>();
  private readonly running = new Map<string, Promise<void>>();
  private stopping = false;

  /** @param now monotonic milliseconds */
  constructor(private readonly now: () => number) {}

  start(run: (job: string) => Promise<void>): void {
    this.run = run;
    this.next();
  }

  wake(job: string, delayMs: number): Promise<void> {
    if (this.stopping) return Promise.resolve();
    const due = this.now() + delayMs;
    const waiting = this.timers.get(job);
    // of two that wait the earlier one is kept: it looks when the job is due, and asks again
    if (waiting && waiting.due <= due) return Promise.resolve();
    clearTimeout(waiting?.timer);
    const timer = setTimeout(() => {
      this.timers.delete(job);
      this.ready.add(job);
      this.next();
    }, delayMs).unref();
    this.timers.set(job, { due, timer });
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    this.stopping = true;
    for (const { timer } of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    this.ready.clear();
    await Promise.all(this.running.values());
  }

  private next(): void {
    for (const job of this.ready) {
      if (!this.run || this.running.size >= JOBS_AT_ONCE) return;
      if (this.running.has(job)) continue; // it is looked at again when that one has ended
      this.ready.delete(job);
      const running = this.run(job).finally(() => {
        this.running.delete(job);
        this.next();
      });
      this.running.set(job, running);
    }
  }
}
