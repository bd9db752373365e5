import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Logger } from '#platform';
import { JOBS_AT_ONCE, type JobQueue } from './job-queue.js';

const NAME = 'jobs';
/** A Redis that takes longer has lost the wake: whoever asks does not wait for it. */
const ANSWER_MS = 1_000;
const RETRY_MS = { first: 100, most: 5_000 };
/** Times are told apart by so much: jobs of several masters that are asked for the same moment are one. */
const MOMENT_MS = 20;

/** Wakes whichever master is free, through Redis. It may be emptied, or be away: wakes are lost then, and nothing else. */
export class BullmqQueue implements JobQueue {
  private readonly asking: Redis;
  private readonly working: Redis;
  private readonly queue: Queue<{ job: string }>;
  private worker: Worker<{ job: string }> | undefined;
  private readonly running = new Set<Promise<void>>();
  private away = false;

  /** @param prefix of its keys, the same for all masters on one database and for nobody else */
  constructor(
    url: string,
    private readonly prefix: string,
    private readonly log: Logger,
  ) {
    const retryStrategy = (times: number): number => Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** Math.min(times, 10));
    this.asking = new Redis(url, {
      enableOfflineQueue: false, // what cannot be sent now fails now
      maxRetriesPerRequest: 0,
      commandTimeout: ANSWER_MS,
      connectTimeout: ANSWER_MS,
      retryStrategy,
    });
    // waits for jobs in blocking commands, which have no time limit; BullMQ asks for null
    this.working = new Redis(url, { maxRetriesPerRequest: null, retryStrategy });
    for (const redis of [this.asking, this.working]) {
      redis.on('error', (error: Error) => this.lost(error));
      redis.on('ready', () => (this.away = false));
    }
    this.queue = new Queue(NAME, { connection: this.asking, prefix });
    this.queue.on('error', (error) => this.failed(error));
  }

  start(run: (job: string) => Promise<void>): void {
    this.worker = new Worker<{ job: string }>(NAME, ({ data }) => this.tracked(run(data.job)), {
      connection: this.working,
      prefix: this.prefix,
      concurrency: JOBS_AT_ONCE,
    });
    this.worker.on('error', (error) => this.failed(error));
  }

  async wake(job: string, delayMs: number): Promise<void> {
    if (this.asking.status !== 'ready') throw new Error('Redis does not answer'); // BullMQ would wait for its first connection
    const due = Date.now() + delayMs;
    // a wake that is done is forgotten at once: PostgreSQL knows what was done
    await this.queue.add(
      NAME,
      { job },
      {
        jobId: `${job}@${Math.ceil(due / MOMENT_MS)}`,
        delay: delayMs,
        removeOnComplete: true,
        removeOnFail: true,
      },
    );
  }

  async stop(): Promise<void> {
    const done = this.worker?.close();
    await Promise.race([done, closed(this.working)]); // a Redis that is away never lets go of a worker
    await Promise.all(this.running);
    this.asking.disconnect();
    this.working.disconnect();
  }

  private tracked(running: Promise<void>): Promise<void> {
    this.running.add(running);
    return running.finally(() => this.running.delete(running));
  }

  /** What Redis answers to one command; where its connection is gone, that is told once, by `lost`. */
  private failed(error: Error): void {
    this.log.debug({ cause: error.message }, 'Redis has lost a wake, or its end; the sweep finds what was not woken');
  }

  private lost(error: Error): void {
    if (!this.away) this.log.warn({ cause: error.message }, 'Redis is away; jobs are woken up by this master alone');
    this.away = true;
  }
}

function closed(redis: Redis): Promise<void> {
  if (redis.status !== 'ready') return Promise.resolve();
  return new Promise((resolve) => redis.once('close', () => resolve()));
}
