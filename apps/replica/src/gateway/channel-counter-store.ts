import type { Bucket, CounterStore, Grant, Wish } from '#throttle';
import type { FromWorker } from './ipc.js';

/** Longer than process 1 takes to apply a large revision; a request that waits for tokens is refused then. */
const ANSWER_MS = 2000;

interface Question {
  resolve(grant: Grant): void;
  timer: NodeJS.Timeout;
}

/** The counters of process 1, asked over the channel. */
export class ChannelCounterStore implements CounterStore {
  private readonly open = new Map<number, Question>();
  private nextId = 1;

  constructor(private readonly send: (message: FromWorker) => void) {}

  take(bucket: Bucket, wish: Wish): Promise<Grant> {
    return new Promise((resolve, reject) => {
      const id = this.nextId++;
      const timer = setTimeout(() => {
        this.open.delete(id);
        reject(new Error(`the counters did not answer within ${ANSWER_MS} ms`));
      }, ANSWER_MS);
      this.open.set(id, { resolve, timer });
      this.send({ type: 'take', id, bucket, wish });
    });
  }

  give(bucket: Bucket, unused: number, lease: number): void {
    this.send({ type: 'give', bucket, unused, lease });
  }

  /** An answer that comes too late is lost with its tokens: rather too few are spent than too many. */
  granted(id: number, grant: Grant): void {
    const question = this.open.get(id);
    if (!question) return;
    this.open.delete(id);
    clearTimeout(question.timer);
    question.resolve(grant);
  }
}
